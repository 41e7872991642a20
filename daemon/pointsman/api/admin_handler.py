"""Helpers for the handlers of the admin port: errors as answers, and a JSON body of a known form."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from pointsman.errors import HttpError, RequestError
from pointsman.server.request import Handler, Request
from pointsman.server.response import Response, error_response

BODY_SECONDS = 10.0

T = TypeVar("T")


def answering(work: Callable[[Request], Awaitable[Response]]) -> Handler:
    """Return a handler that answers with the error that `work` raises."""

    async def handler(request: Request) -> Response:
        try:
            return await work(request)
        except HttpError as error:
            return error_response(error)

    return handler


async def body_of(request: Request, form: type[T], shown: str) -> T:
    """Return the body as `form`; an error shows the form as `shown`; raises HttpError."""
    body = await request.read(BODY_SECONDS)
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(f"the body must be {shown}", status=400, code="invalid_json") from error
