"""Refuse data requests that a page in a browser of this host could send under a host name of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine

from pointsman.errors import RequestError
from pointsman.server.hosts import AllowedHosts
from pointsman.server.request import Handler, Request
from pointsman.server.response import Response

# Names of all clients that are remembered; each is at most 8 KiB.
_REMEMBERED = 256


def for_known_hosts(
    handler: Handler, hosts: AllowedHosts, refuse: Callable[[Request, RequestError], Response]
) -> Handler:
    """Return a handler for a port that only this host reaches, and that needs no key.

    Requests through a trusted proxy or a Unix socket come from no browser, whatever their Host is.
    """
    known = functools.lru_cache(_REMEMBERED)(hosts.known_here)

    def check(request: Request) -> Coroutine[None, None, Response | None]:
        head, writer = request.head, request.writer
        if known(head.values.get(b"host")) or writer.proxied or not writer.client(head).address:
            return handler(request)
        return _refused(request)

    async def _refused(request: Request) -> Response:
        error = RequestError(
            "the Host of this request is not known here, so it may come from a page that points its own name at this "
            "address; if the name is yours, add it to pointsman.server.allowed_hosts, or add the address of your "
            "reverse proxy to pointsman.server.trusted_proxies",
            status=403,
            code="unknown_host",
        )
        return refuse(request, error)

    return check
