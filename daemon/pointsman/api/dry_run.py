"""Route a whole request without forwarding it; the data port, the admin port and `pointsman explain` share it."""

from __future__ import annotations

from pointsman.api.caller import caller_of, stated_ask
from pointsman.http1.request_head import RequestHead
from pointsman.long_body import Received
from pointsman.routing.body import read_fields
from pointsman.routing.conversation import ANYBODY
from pointsman.routing.formats import ParsedRequest, format_of
from pointsman.routing.router import Routed, Router


async def dry_run(router: Router, body: Received, head: RequestHead | None = None) -> tuple[ParsedRequest, Routed]:
    """Decide on a request of any format, and remember nothing; raises RequestError.

    `head` tells the client whose conversations are looked up; by default it is one without credentials.
    """
    fields = await router.lane.run(read_fields(body, router.fields))
    stated = "" if head is None else stated_ask(head)
    parsed = await router.lane.run(format_of(fields).read(fields, router.finder, stated))
    caller = ANYBODY if head is None else caller_of(router, head, fields)
    return parsed, await router.route(parsed, caller, remember=False)
