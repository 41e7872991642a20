"""Read what a client says of itself: who asks, in which session, and what."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from pointsman.http1.request_head import RequestHead
from pointsman.routing.body import Fields
from pointsman.routing.conversation import Caller
from pointsman.routing.router import Router
from pointsman.routing.rules import NOWHERE, Origin
from pointsman.server.request import Request


def caller_of(router: Router, client: str, head: RequestHead, fields: Fields) -> Caller:
    """Return the `client` of a request, and what it calls its session."""
    return Caller(client, router.session_ids.find(head.values, fields))


def origin_of(router: Router, request: Request, path: str) -> Origin:
    """Return where a request comes from, where that is asked for."""
    return NOWHERE if router.rules is None else Origin(request.head.values, request.client.address, path)


def stated_ask(head: RequestHead) -> str:
    """Return the ask that the client states in a header, in UTF-8, percent-encoded or as it is; empty if none."""
    stated = head.values.get(b"x-pointsman-ask")
    return unquote_to_bytes(stated).decode(errors="replace") if stated else ""
