"""Read what a client says about itself: its identity, its session, and its ask."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from pointsman.http1.request_head import RequestHead
from pointsman.proxy.exchange import Exchange
from pointsman.routing.body import BodyFields
from pointsman.routing.conversation_keys import Caller
from pointsman.routing.router import Router
from pointsman.routing.rules import NO_ORIGIN, RequestOrigin


def caller_of(router: Router, client: str, head: RequestHead, fields: BodyFields) -> Caller:
    """Return the `client` of a request, and its name for the session."""
    return Caller(client, router.session_ids.find(head.values, fields))


def origin_of(router: Router, exchange: Exchange, path: str) -> RequestOrigin:
    """Return the origin of a request, if needed."""
    if router.rules is None:
        return NO_ORIGIN
    request, key = exchange.request, exchange.key
    return RequestOrigin(request.head.values, request.client.address, path, "" if key is None else key.name)


def stated_ask(head: RequestHead) -> str:
    """Return the ask that the client states in a header, in UTF-8, percent-encoded or raw; empty if none."""
    stated = head.values.get(b"x-pointsman-ask")
    return unquote_to_bytes(stated).decode(errors="replace") if stated else ""
