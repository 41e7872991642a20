"""Set a request's position in vLLM's queue: the operator's, or the client's own if allowed."""

from __future__ import annotations

from pointsman.config.client_keys import ClientKey
from pointsman.routing import queue_fields
from pointsman.routing.body import BodyFields
from pointsman.routing.edits import PRIORITY_FIELD
from pointsman.routing.router import Router


def own_priority(router: Router, key: ClientKey | None, path: str) -> int | None:
    """Return the priority of the key, else that of the path, else None."""
    return router.priorities.get(path) if key is None or key.priority is None else key.priority


async def set_priority(router: Router, key: ClientKey | None, own: int | None, fields: BodyFields) -> int | None:
    """Return the priority for the body, by default its `own`; None if it is unchanged. Raises RequestError."""
    if queue_fields.chooses(fields):
        allowed = {*router.config.pointsman.access.allowed_fields, *(() if key is None else key.allowed_fields)}
        await router.step_scheduler.run(queue_fields.check(fields, allowed))
        if PRIORITY_FIELD in allowed and PRIORITY_FIELD in fields.values:
            own = None
    fields.priority = own
    return own
