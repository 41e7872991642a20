"""Handle the admin port's paths for what commands decide beside the config: the mode, and the whole overlay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec

from pointsman.api.admin_handler import body_of
from pointsman.config.overlay import Overlay
from pointsman.errors import HttpError
from pointsman.server.request import Request
from pointsman.server.response import Response, error_response, json_response
from pointsman.server.routes import Route

FORM = '{"mode": "off"}, "shadow", "on", or "config" for what the config says'


class _Mode(msgspec.Struct):
    mode: Literal["off", "shadow", "on", "config"]


class Keeper(Protocol):
    """Applies changes of the overlay, and keeps them."""

    async def change(self, edit: Callable[[Overlay], Overlay], by: str) -> None: ...
    def describe(self) -> dict[str, Any]: ...


def overlay_routes(keeper: Keeper) -> list[Route]:
    """Return the routes `GET /overlay` and `POST /mode` with `{"mode": ...}`; `config` gives the file its word back."""

    async def shown(_: Request) -> Response:
        return json_response(keeper.describe())

    async def mode(request: Request) -> Response:
        try:
            said = (await body_of(request, _Mode, FORM)).mode
        except HttpError as error:
            return error_response(error)
        wanted = None if said == "config" else said
        await keeper.change(lambda now: msgspec.structs.replace(now, mode=wanted), by="mode")
        return json_response(keeper.describe())

    return [Route("GET", "/overlay", shown), Route("POST", "/mode", mode)]
