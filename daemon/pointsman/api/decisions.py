"""Handle the admin port's path for the latest decisions: filtered, in parts, with texts if these are stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Annotated
from urllib.parse import parse_qsl

import msgspec

from pointsman import daemon_thread
from pointsman.errors import HttpError, RequestError
from pointsman.improve.texts_file import TextsFile
from pointsman.observability.latest import FIELDS, LatestRequests, RequestSummary
from pointsman.server.request import Request
from pointsman.server.response import Response, error_response, json_response
from pointsman.server.routes import Route

MAX_FIELDS = 20
# The texts are left out if their disk hangs.
READ_SECONDS = 1.0
CHOSEN_BY = (*FIELDS, "status", "id")


class _DecisionsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """A query; `names` asks for the values to choose from as well."""

    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    before: Annotated[int, msgspec.Meta(ge=1)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100
    names: bool = False
    category: str | None = None
    reason: str | None = None
    model: str | None = None
    key: str | None = None
    status: Annotated[str, msgspec.Meta(pattern=r"^[1-5](xx|[0-9][0-9])\Z")] | None = None
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None


class _LatestTexts:
    """The latest texts, read in a thread, since their disk may hang; one reading at a time.

    Requests meanwhile wait for the same reading.
    """

    def __init__(self, file: Callable[[], TextsFile | None]) -> None:
        self._file = file
        self._reading: Future[dict[str, str]] | None = None

    async def of(self, decisions: Iterable[RequestSummary]) -> dict[str, str] | None:
        """Return the texts of decisions by hash, as far as they are known; None if no texts are stored."""
        file = self._file()
        if file is None:
            return None
        hashes = {one.text_hash for one in decisions if one.text_hash is not None}
        if not hashes:
            return {}
        if self._reading is None or self._reading.done():
            self._reading = daemon_thread.start(file.latest, "latest texts")
        try:
            async with asyncio.timeout(READ_SECONDS):
                found = await asyncio.wrap_future(self._reading)
        except (OSError, TimeoutError):
            return {}
        return {name: found[name] for name in hashes if name in found}


def decisions_route(latest: LatestRequests, file: Callable[[], TextsFile | None] = lambda: None) -> Route:
    """Return the route `GET /decisions`, which has the newest first.

    `after` and `before` are numbers of decisions; to continue, ask for those after `latest`. `file` returns the file of
    texts, or None.
    """
    texts = _LatestTexts(file)

    async def handler(request: Request) -> Response:
        try:
            query = _query(request.head.query)
        except HttpError as error:
            return error_response(error)
        wanted = {name: value for name in CHOSEN_BY if (value := getattr(query, name)) is not None}
        found = latest.find(wanted, query.limit, after=query.after, before=query.before)
        answer = {"decisions": found, "latest": latest.count, "kept": len(latest), "texts": await texts.of(found)}
        return json_response(answer | ({"names": latest.names()} if query.names else {}))

    return Route("GET", "/decisions", handler)


def _query(text: str) -> _DecisionsQuery:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=MAX_FIELDS)
        return msgspec.convert(dict(pairs), _DecisionsQuery, strict=False)
    except (ValueError, msgspec.ValidationError) as error:
        known = ", ".join(("after", "before", "limit (1 to 500)", "names", *CHOSEN_BY))
        message = f"the query cannot be used: {error}; it takes {known}"
        raise RequestError(message, status=400, code="invalid_query") from error
