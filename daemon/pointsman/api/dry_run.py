"""Route a whole request without forwarding it; the data port, the admin port and `pointsman explain` share it."""

from __future__ import annotations

from pointsman.api import stored
from pointsman.api.auth import check_model
from pointsman.api.caller import sender_of, stated_ask
from pointsman.api.queue_priority import own_priority, set_priority
from pointsman.config.model import DIRECT
from pointsman.errors import UnknownResponse
from pointsman.formats import RESPONSES
from pointsman.long_body import Received
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.stored_responses import StoredResponses
from pointsman.routing.body import BodyFields, read_fields
from pointsman.routing.parsed_request import ParsedRequest, format_of, read_request
from pointsman.routing.response_storage import storage_of
from pointsman.routing.router import RoutedRequest, Router
from pointsman.routing.rules import RequestOrigin
from pointsman.routing.sender import NEW_RESPONSE, Continuation, Sender


async def dry_run(
    router: Router, body: Received, exchange: Exchange | None = None, responses: StoredResponses | None = None
) -> tuple[ParsedRequest, RoutedRequest]:
    """Decide on a request of any format, and remember nothing; raises RequestError, or ModelNotAllowed.

    `exchange` is that of the asking client: its conversations and stored responses are looked up, its key counts, and
    rules read its headers. By default there is none, and an unknown response counts as none.
    """
    fields = await router.step_scheduler.run(read_fields(body, router.fields))
    form, key = format_of(fields), None if exchange is None else exchange.key
    own, continues = own_priority(router, key, form.path), NEW_RESPONSE
    if form is RESPONSES and responses is not None:
        continues = _continued(router, fields, exchange, responses)
    if exchange is None:
        fields.priority, stated = own, ""
        sender = Sender(origin=RequestOrigin({}, path=form.path), continues=continues)
    else:
        await set_priority(router, key, own, fields)
        stated = stated_ask(exchange.request.head)
        sender = sender_of(router, exchange, form.path, fields, continues)
    parsed = await router.step_scheduler.run(read_request(form, fields, router.finder_of(key), stated))
    if router.names_model(parsed.model, key):
        check_model(key, parsed.model.removeprefix(DIRECT))
    return parsed, await router.route(parsed, sender, remember=False)


def _continued(
    router: Router, fields: BodyFields, exchange: Exchange | None, responses: StoredResponses
) -> Continuation:
    """Return what a response would continue; raises RequestError as for a request that is forwarded."""
    former = storage_of(fields).continues
    if former is None:
        return NEW_RESPONSE
    try:
        client = "" if exchange is None else exchange.client
        return Continuation(*stored.find(router.config, responses, client, former))
    except UnknownResponse:
        if exchange is None:  # the admin port does not know whose the request is
            return NEW_RESPONSE
        raise
