"""Handle `/health` and `/ready` on both ports."""

from __future__ import annotations

from collections.abc import Callable

from pointsman.errors import error_body
from pointsman.server.request import Request
from pointsman.server.response import Response, json_response
from pointsman.server.routes import Route

Ready = Callable[[], str | None]
"""A function that returns the reason why the service is not ready, or None."""


def readiness(trouble: Ready, draining: Callable[[], bool]) -> Ready:
    """Return a function that tells whether the service is ready: it has no trouble and is not draining."""

    def ready() -> str | None:
        if draining():
            return "the service is shutting down"
        return trouble()

    return ready


def health_routes(ready: Ready) -> list[Route]:
    """Return the routes of `/health` (the process answers) and `/ready` (requests are accepted)."""

    async def health(_: Request) -> Response:
        return json_response({"status": "healthy", "service": "pointsman"})

    async def answer(_: Request) -> Response:
        message = ready()
        if message is None:
            return json_response({"status": "ready"})
        return json_response(error_body(message, type="internal_error", param=None, code="not_ready"), status=503)

    both = (("/health", health), ("/ready", answer))
    return [Route(method, path, handler) for path, handler in both for method in ("GET", "HEAD")]


def ping_routes() -> list[Route]:
    """Return the routes of `/ping`, which answers while the process runs, as vLLM's does."""

    async def ping(_: Request) -> Response:
        return Response()

    return [Route(method, "/ping", ping) for method in ("GET", "HEAD", "POST")]
