"""Read what a client says about itself: its identity, its session, and its ask."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from pointsman.http1.request_head import RequestHead
from pointsman.proxy.exchange import Exchange
from pointsman.routing.body import BodyFields
from pointsman.routing.conversation_keys import Caller
from pointsman.routing.router import Router
from pointsman.routing.rules import NO_ORIGIN, RequestOrigin
from pointsman.routing.sender import NEW_RESPONSE, Continuation, Sender


def sender_of(
    router: Router, exchange: Exchange, path: str, fields: BodyFields, continues: Continuation = NEW_RESPONSE
) -> Sender:
    """Return the client of a request, the session that it names, and the origin, if that is needed."""
    request, key, origin = exchange.request, exchange.key, NO_ORIGIN
    caller = Caller(exchange.client, router.session_ids.find(request.head.values, fields))
    if router.rules is not None:
        origin = RequestOrigin(request.head.values, request.client.address, path, "" if key is None else key.name)
    return Sender(caller, key, origin, continues)


def stated_ask(head: RequestHead) -> str:
    """Return the ask that the client states in a header, in UTF-8, percent-encoded or raw; empty if none."""
    stated = head.values.get(b"x-pointsman-ask")
    return unquote_to_bytes(stated).decode(errors="replace") if stated else ""
