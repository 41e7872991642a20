"""Handle the admin port's paths for past requests: the traffic of the last minutes to a day, and the latest errors."""

from __future__ import annotations

from pointsman.observability.latest import LatestRequests
from pointsman.observability.traffic import WINDOWS, Traffic
from pointsman.server.request import Handler, Request
from pointsman.server.response import Response, json_response
from pointsman.server.routes import Route


def traffic_routes(traffic: Traffic, latest: LatestRequests) -> list[Route]:
    """Return the routes `GET /traffic/WINDOW` for each window, and `GET /errors`, which has the newest first."""

    def report(window: str) -> Handler:
        async def handler(_: Request) -> Response:
            return json_response(traffic.report(window))

        return handler

    async def errors(_: Request) -> Response:
        return json_response({"errors": latest.errors()})

    return [
        *(Route("GET", f"/traffic/{window}", report(window)) for window in WINDOWS),
        Route("GET", "/errors", errors),
    ]
