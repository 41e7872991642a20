"""Handle the admin port's paths for the kept configs: list, roll back, follow the file again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Protocol

import msgspec

from pointsman.errors import HttpError, RequestError
from pointsman.long_body import Received
from pointsman.server.request import Handler, Request
from pointsman.server.response import Response, error_response
from pointsman.server.routes import Route

BODY_SECONDS = 10.0


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    number: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Keeper(Protocol):
    """Keeps the configs, and serves one of them in place of the file's; each raises HttpError."""

    async def listed(self) -> Response: ...
    async def roll_back(self, number: int | None) -> Response: ...
    async def follow(self) -> Response: ...


def config_routes(keeper: Keeper) -> list[Route]:
    """Return the routes `GET /configs`, `POST /config/rollback` with `{"number": N}` or `{}`, and `/config/follow`."""

    def answering(work: Callable[[Request], Awaitable[Response]]) -> Handler:
        async def handler(request: Request) -> Response:
            try:
                return await work(request)
            except HttpError as error:
                return error_response(error)

        return handler

    async def roll_back(request: Request) -> Response:
        return await keeper.roll_back(_number(await request.read(BODY_SECONDS)))

    return [
        Route("GET", "/configs", answering(lambda _: keeper.listed())),
        Route("POST", "/config/rollback", answering(roll_back)),
        Route("POST", "/config/follow", answering(lambda _: keeper.follow())),
    ]


def _number(body: Received) -> int | None:
    try:
        return msgspec.json.decode(body, type=_Wanted).number
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        message = 'the body must be {"number": N}, as GET /configs numbers them, or {} for the one before'
        raise RequestError(message, status=HTTPStatus.BAD_REQUEST, code="invalid_json") from error
