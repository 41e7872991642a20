"""Handle the admin port's path for one request: its lines in the log, by its id."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Annotated
from urllib.parse import parse_qsl

import msgspec

from pointsman.errors import RequestError
from pointsman.http1.forwarded_headers import REQUEST_ID
from pointsman.observability.find_request import Search
from pointsman.proxy.recorder import Recorder
from pointsman.server.request import Request
from pointsman.server.response import Response, error_response, json_response
from pointsman.server.routes import Route


class _RequestQuery(msgspec.Struct, forbid_unknown_fields=True):
    id: Annotated[str, msgspec.Meta(pattern=rf"^{REQUEST_ID}\Z")]


def request_route(recorder: Callable[[], Recorder]) -> Route:
    """Return the route `GET /request?id=ID`: the log's lines of a request, by its id or the beginning of it.

    They are the newest lines, which the service still has in memory.
    """

    async def handler(request: Request) -> Response:
        try:
            pairs = parse_qsl(request.head.query, keep_blank_values=True, strict_parsing=True, max_num_fields=1)
            search = Search(msgspec.convert(dict(pairs), _RequestQuery).id)
        except (ValueError, msgspec.ValidationError) as error:
            message = f"the query cannot be used: {error}; it takes the id of a request, or its beginning: ?id=3c1f5e"
            return error_response(RequestError(message, status=400, code="invalid_query"))
        current = recorder()
        batches = current.log.requests()
        for lines in batches:
            if search.needle in lines:
                for line in lines.splitlines():
                    search.see(_json(line))
                await asyncio.sleep(0)  # if many ids begin with these characters, other requests proceed
        answer = {
            "requests": [msgspec.Raw(one.line) for one in search.found],
            "ambiguous": search.ambiguous,
            "more": search.more,
            "since": _ended(batches[0]) if batches else None,
            "logged": current.requests and current.log.writes("info"),
            "log": current.log.location,
        }
        return json_response(answer)

    return Route("GET", "/request", handler)


def _json(line: bytes) -> bytes:
    """Return a line without the journal's priority."""
    return line[line.find(b"{") :]


def _ended(lines: bytes) -> str:
    """Return when the first request in some lines ended."""
    return str(json.loads(_json(lines.partition(b"\n")[0]))["ts"])
