"""Tell who asks, for the table of conversations."""

from __future__ import annotations

from pointsman.http1.request_head import RequestHead
from pointsman.proxy.client_identity import client_identity
from pointsman.routing.body import Fields
from pointsman.routing.conversation import Caller
from pointsman.routing.router import Router


def caller_of(router: Router, head: RequestHead, fields: Fields) -> Caller:
    """Return the client of a request, and what it calls its session."""
    return Caller(client_identity(head), router.session_ids.find(head.values, fields))
