"""Handle the admin port's paths for what commands decide beside the config: the mode, and the whole overlay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec

from pointsman.config.overlay import Overlay
from pointsman.errors import HttpError, RequestError
from pointsman.long_body import Received
from pointsman.server.request import Request
from pointsman.server.response import Response, error_response, json_response
from pointsman.server.routes import Route

BODY_SECONDS = 10.0


class _Mode(msgspec.Struct):
    mode: Literal["off", "shadow", "on", "config"]


_MODE = msgspec.json.Decoder(_Mode)


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
            wanted = _mode(await request.read(BODY_SECONDS))
        except HttpError as error:
            return error_response(error)
        await keeper.change(lambda now: msgspec.structs.replace(now, mode=wanted), by="mode")
        return json_response(keeper.describe())

    return [Route("GET", "/overlay", shown), Route("POST", "/mode", mode)]


def _mode(body: Received) -> Literal["off", "shadow", "on"] | None:
    try:
        wanted = _MODE.decode(body).mode
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        message = 'the body must be {"mode": "off"}, "shadow", "on", or "config" for what the config says'
        raise RequestError(message, status=400, code="invalid_json") from error
    return None if wanted == "config" else wanted
