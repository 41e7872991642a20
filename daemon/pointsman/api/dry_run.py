"""Route a whole request without forwarding it; the data port, the admin port and `pointsman explain` share it."""

from __future__ import annotations

from pointsman.api import stored
from pointsman.api.caller import caller_of, origin_of, stated_ask
from pointsman.errors import UnknownResponse
from pointsman.http1.request_head import RequestHead
from pointsman.long_body import Received
from pointsman.proxy.client_identity import client_identity
from pointsman.proxy.stored_responses import StoredResponses
from pointsman.routing.body import Fields, read_fields
from pointsman.routing.conversation import ANYBODY
from pointsman.routing.formats import RESPONSES, ParsedRequest, format_of
from pointsman.routing.formats.responses import storage_of
from pointsman.routing.router import Routed, Router
from pointsman.routing.rules import Origin
from pointsman.server.request import Request


async def dry_run(
    router: Router, body: Received, request: Request | None = None, responses: StoredResponses | None = None
) -> tuple[ParsedRequest, Routed]:
    """Decide on a request of any format, and remember nothing; raises RequestError.

    `request` tells the client whose conversations and stored responses are looked up, and what rules look at; by
    default it is one without headers, and a response that it does not have counts as none.
    """
    head = None if request is None else request.head
    fields = await router.lane.run(read_fields(body, router.fields + RESPONSES.own_fields))
    form = format_of(fields)
    continued = stored.Continued()
    if form is RESPONSES and responses is not None:
        continued = _continued(router, fields, head, responses)
    parsed = await router.lane.run(form.read(fields, router.finder, "" if head is None else stated_ask(head)))
    caller = ANYBODY if head is None else caller_of(router, head, fields)
    origin = Origin({}, path=form.path) if request is None else origin_of(router, request, form.path)
    routed = await router.route(
        parsed, caller, continued=continued.kept, remember=False, at=continued.at, origin=origin
    )
    return parsed, routed


def _continued(
    router: Router, fields: Fields, head: RequestHead | None, responses: StoredResponses
) -> stored.Continued:
    """Return what a response would continue; raises RequestError as for a request that is forwarded."""
    former = storage_of(fields).continues
    if former is None:
        return stored.Continued()
    try:
        client = "" if head is None else client_identity(head)
        return stored.Continued(*stored.find(router.config, responses, client, former))
    except UnknownResponse:
        if head is None:  # the admin port is not told whose the request is
            return stored.Continued()
        raise
