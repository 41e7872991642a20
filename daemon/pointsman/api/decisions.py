"""Handle the admin port's path for the latest decisions: those that fit, in parts."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl

import msgspec

from pointsman.errors import HttpError, RequestError
from pointsman.observability.latest import FIELDS, Latest
from pointsman.server.request import Request
from pointsman.server.response import Response, error_response, json_response
from pointsman.server.routes import Route

MOST_FIELDS = 20


class _Query(msgspec.Struct, forbid_unknown_fields=True):
    """What is asked for; `names` asks for the values of the FIELDS as well."""

    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    before: Annotated[int, msgspec.Meta(ge=1)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100
    names: bool = False
    category: str | None = None
    reason: str | None = None
    model: str | None = None
    key: str | None = None


def decisions_route(latest: Latest) -> Route:
    """Return the route `GET /decisions`, which has the newest first.

    `after` and `before` are numbers of decisions; to go on, ask for those after `latest`.
    """

    async def handler(request: Request) -> Response:
        try:
            query = _query(request.head.query)
        except HttpError as error:
            return error_response(error)
        wanted = {name: value for name in FIELDS if (value := getattr(query, name)) is not None}
        answer = {
            "decisions": latest.find(wanted, query.limit, after=query.after, before=query.before),
            "latest": latest.count,
            "kept": len(latest),
        }
        return json_response(answer | ({"names": latest.names()} if query.names else {}))

    return Route("GET", "/decisions", handler)


def _query(text: str) -> _Query:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=MOST_FIELDS)
        return msgspec.convert(dict(pairs), _Query, strict=False)
    except (ValueError, msgspec.ValidationError) as error:
        raise RequestError(
            f"the query cannot be used: {error}; it takes after, before, limit (1 to 500), names, {', '.join(FIELDS)}",
            status=400,
            code="invalid_query",
        ) from error
