"""Route a whole request without forwarding it; the data port, the admin port and `pointsman explain` share it."""

from __future__ import annotations

from pointsman.api import stored
from pointsman.api.auth import check_model
from pointsman.api.caller import caller_of, origin_of, stated_ask
from pointsman.api.queue_priority import own_priority, set_priority
from pointsman.config.model import DIRECT
from pointsman.errors import UnknownResponse
from pointsman.formats import RESPONSES
from pointsman.long_body import Received
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.stored_responses import StoredResponses
from pointsman.routing.body import BodyFields, read_fields
from pointsman.routing.conversation_keys import ANYBODY
from pointsman.routing.parsed_request import ParsedRequest, format_of, read_request
from pointsman.routing.response_storage import storage_of
from pointsman.routing.router import RoutedRequest, Router
from pointsman.routing.rules import RequestOrigin


async def dry_run(
    router: Router, body: Received, exchange: Exchange | None = None, responses: StoredResponses | None = None
) -> tuple[ParsedRequest, RoutedRequest]:
    """Decide on a request of any format, and remember nothing; raises RequestError, or ModelNotAllowed.

    `exchange` is that of the asking client: its conversations and stored responses are looked up, its key counts, and
    rules read its headers. By default there is none, and an unknown response counts as none.
    """
    fields = await router.step_scheduler.run(read_fields(body, router.fields))
    form = format_of(fields)
    key = None if exchange is None else exchange.key
    if exchange is None:
        fields.priority = own_priority(router, None, form.path)
    else:
        await set_priority(router, key, own_priority(router, key, form.path), fields)
    continued = stored.Continuation()
    if form is RESPONSES and responses is not None:
        continued = _continued(router, fields, exchange, responses)
    stated, caller, scope, origin = "", ANYBODY, None, RequestOrigin({}, path=form.path)
    if exchange is not None:
        head, scope = exchange.request.head, exchange.scope
        origin = origin_of(router, exchange, form.path)
        stated, caller = stated_ask(head), caller_of(router, exchange.client, head, fields)
    parsed = await router.step_scheduler.run(read_request(form, fields, router.finder_of(key), stated))
    if parsed.model is not None and parsed.model not in router.auto_names_of(key):
        check_model(key, parsed.model.removeprefix(DIRECT))
    routed = await router.route(
        parsed,
        caller,
        continued=continued.remembered,
        remember=False,
        at=continued.at,
        origin=origin,
        scope=scope,
        key=key,
    )
    return parsed, routed


def _continued(
    router: Router, fields: BodyFields, exchange: Exchange | None, responses: StoredResponses
) -> stored.Continuation:
    """Return what a response would continue; raises RequestError as for a request that is forwarded."""
    former = storage_of(fields).continues
    if former is None:
        return stored.Continuation()
    try:
        client = "" if exchange is None else exchange.client
        return stored.Continuation(*stored.find(router.config, responses, client, former))
    except UnknownResponse:
        if exchange is None:  # the admin port does not know whose the request is
            return stored.Continuation()
        raise
