"""Handle the admin port's paths for the classifier that serves: list, promote, roll back."""

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
    artifact: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)] | None = None


class Keeper(Protocol):
    """Lets a classifier serve in place of the config's; each raises HttpError."""

    async def listed(self) -> Response: ...
    async def promote(self, name: str | None) -> Response: ...
    async def roll_back(self) -> Response: ...


def classifier_routes(keeper: Keeper) -> list[Route]:
    """Return the routes `GET /classifiers`, `POST /classifier/promote` and `/classifier/rollback`.

    To promote takes `{"artifact": NAME}`, or `{}` for the newest.
    """

    def answering(work: Callable[[Request], Awaitable[Response]]) -> Handler:
        async def handler(request: Request) -> Response:
            try:
                return await work(request)
            except HttpError as error:
                return error_response(error)

        return handler

    async def promote(request: Request) -> Response:
        return await keeper.promote(_name(await request.read(BODY_SECONDS)))

    return [
        Route("GET", "/classifiers", answering(lambda _: keeper.listed())),
        Route("POST", "/classifier/promote", answering(promote)),
        Route("POST", "/classifier/rollback", answering(lambda _: keeper.roll_back())),
    ]


def _name(body: Received) -> str | None:
    try:
        return msgspec.json.decode(body, type=_Wanted).artifact
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        message = 'the body must be {"artifact": "NAME"}, as GET /classifiers names them, or {} for the newest'
        raise RequestError(message, status=HTTPStatus.BAD_REQUEST, code="invalid_json") from error
