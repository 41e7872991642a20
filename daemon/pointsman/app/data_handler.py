"""Answer the requests of the data port as the current config says."""

from __future__ import annotations

from pointsman.api.data import routes
from pointsman.api.health import Ready
from pointsman.app.generations import Generations
from pointsman.errors import RequestError
from pointsman.server.request import Handler, Request
from pointsman.server.response import Response


def data_handler(generations: Generations, ready: Ready) -> Handler:
    """Return the handler for the current config, whose paths it has."""

    def not_routed(request: Request, error: RequestError) -> Response:
        return generations.current.recorder.not_routed(request, error)

    options = generations.current.config.pointsman
    return routes(generations.exchange, ready, not_routed, options.relay.paths)
