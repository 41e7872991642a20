"""Handle the admin port's paths for labels and fits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Literal, Protocol

import msgspec

from pointsman.errors import HttpError, RequestError
from pointsman.long_body import Received
from pointsman.server.request import Handler, Request
from pointsman.server.response import Response, error_response
from pointsman.server.routes import Route

BODY_SECONDS = 10.0


class _Label(msgspec.Struct, forbid_unknown_fields=True):
    hash: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Improver(Protocol):
    """Keeps worklist, labels and fits; each raises HttpError."""

    async def describe(self) -> Response: ...
    async def label(self, text_hash: str, label: str) -> Response: ...
    async def undo(self) -> Response: ...
    async def start(self, command: Literal["collect", "fit"]) -> Response: ...
    async def cancel(self) -> Response: ...


def improve_routes(improver: Improver) -> list[Route]:
    """Return the routes `GET /improve`, and `POST /improve/collect`, `/label`, `/undo`, `/fit` and `/cancel`.

    To label takes `{"hash": TEXT_HASH, "label": CATEGORY or "none"}`.
    """

    def answering(work: Callable[[Request], Awaitable[Response]]) -> Handler:
        async def handler(request: Request) -> Response:
            try:
                return await work(request)
            except HttpError as error:
                return error_response(error)

        return handler

    async def label(request: Request) -> Response:
        asked = _label(await request.read(BODY_SECONDS))
        return await improver.label(asked.hash, asked.label)

    return [
        Route("GET", "/improve", answering(lambda _: improver.describe())),
        Route("POST", "/improve/collect", answering(lambda _: improver.start("collect"))),
        Route("POST", "/improve/label", answering(label)),
        Route("POST", "/improve/undo", answering(lambda _: improver.undo())),
        Route("POST", "/improve/fit", answering(lambda _: improver.start("fit"))),
        Route("POST", "/improve/cancel", answering(lambda _: improver.cancel())),
    ]


def _label(body: Received) -> _Label:
    try:
        return msgspec.json.decode(body, type=_Label)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        message = 'the body must be {"hash": "TEXT_HASH", "label": "CATEGORY"}, as GET /improve names them, or "none"'
        raise RequestError(message, status=HTTPStatus.BAD_REQUEST, code="invalid_json") from error
