"""Route a whole request without forwarding it; the data port, the admin port and `pointsman explain` share it."""

from __future__ import annotations

from pointsman.routing.body import read_fields
from pointsman.routing.formats import ParsedRequest, format_of
from pointsman.routing.router import Routed, Router


async def dry_run(router: Router, body: bytes) -> tuple[ParsedRequest, Routed]:
    """Decide on a request of any format, and remember nothing; raises RequestError."""
    fields = await router.lane.run(read_fields(body, router.fields))
    parsed = await router.lane.run(format_of(fields).read(fields))
    return parsed, await router.route(parsed, remember=False)
