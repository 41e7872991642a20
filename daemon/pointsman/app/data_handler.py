"""Answer the requests of the data port according to the current config."""

from __future__ import annotations

from pointsman.api.data import routes
from pointsman.api.health import Ready
from pointsman.api.known_host import for_known_hosts
from pointsman.app.generations import Generations
from pointsman.errors import RequestError
from pointsman.server.cors import with_cors
from pointsman.server.hosts import AllowedHosts
from pointsman.server.request import Handler, Request
from pointsman.server.response import Response


def data_handler(generations: Generations, ready: Ready, hosts: AllowedHosts | None) -> Handler:
    """Return the handler for the current config, with its paths and the pages that it allows.

    `hosts` are the names of a port that only this host reaches, None if others reach it as well.
    """

    def not_routed(request: Request, error: RequestError) -> Response:
        return generations.current.recorder.not_routed(request, error)

    options = generations.current.config.pointsman
    handler: Handler = routes(generations.exchange, ready, not_routed, options.relay.paths)
    if hosts is not None and options.access.keys_file is None:  # a page has no key
        handler = for_known_hosts(handler, hosts, not_routed)
    return with_cors(handler, options.cors)
