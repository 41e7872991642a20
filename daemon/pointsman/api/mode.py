"""Handle the admin port's paths for what commands decide over the config: the mode, and the whole overlay."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

import msgspec

from pointsman.api.admin_handler import body_of
from pointsman.config.overlay import MAX_TIMED_SECONDS, MIN_TIMED_SECONDS, Override
from pointsman.errors import HttpError
from pointsman.server.request import Request
from pointsman.server.response import Response, error_response, json_response
from pointsman.server.routes import Route

FORM = (
    '{"mode": "off"}, "shadow", "on", or "config" for what the config says; beside one of the first three, '
    f'"seconds": N has it end, with N at least {MIN_TIMED_SECONDS} and at most {MAX_TIMED_SECONDS:,}'
)


class _ModeRequest(msgspec.Struct):
    mode: Literal["off", "shadow", "on", "config"]
    seconds: Annotated[int, msgspec.Meta(ge=MIN_TIMED_SECONDS, le=MAX_TIMED_SECONDS)] | None = None

    def __post_init__(self) -> None:
        if self.mode == "config" and self.seconds is not None:
            raise ValueError("the config's word has no end")  # reported by the decoder as any other error


class ModeStore(Protocol):
    """The overlay's changes, which are stored."""

    async def set_mode(self, mode: Override | None, seconds: int | None) -> None: ...
    def describe(self) -> dict[str, Any]: ...


def overlay_routes(store: ModeStore) -> list[Route]:
    """Return the routes `GET /overlay` and `POST /mode`, whose body is as in FORM."""

    async def shown(_: Request) -> Response:
        return json_response(store.describe())

    async def mode(request: Request) -> Response:
        try:
            said = await body_of(request, _ModeRequest, FORM)
        except HttpError as error:
            return error_response(error)
        await store.set_mode(None if said.mode == "config" else said.mode, said.seconds)
        return json_response(store.describe())

    return [Route("GET", "/overlay", shown), Route("POST", "/mode", mode)]
