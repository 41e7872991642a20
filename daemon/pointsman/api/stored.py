"""Handle requests about responses that vLLM stores: only for the response's client, at the endpoint that has it."""

from __future__ import annotations

from pointsman.config.model import Config, Endpoint
from pointsman.errors import UnknownResponse
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.forward import Forwarder
from pointsman.proxy.stored_responses import StoredResponses
from pointsman.routing.body import BodyFields
from pointsman.routing.conversations import ConversationState
from pointsman.routing.response_storage import storage_of
from pointsman.routing.sender import NEW_RESPONSE, Continuation


def find(
    config: Config, responses: StoredResponses, client: str, response_id: str
) -> tuple[Endpoint, ConversationState | None]:
    """Return the endpoint that has a response of this client, and the stored part of its decision.

    Raises UnknownResponse (404).
    """
    entry = responses.find(response_id, client)
    if entry is not None:
        for endpoint in config.vllm_endpoints:
            if endpoint.name == entry.endpoint:
                return endpoint, entry.remembered
    raise UnknownResponse(response_id)


def storing_endpoint(
    config: Config, forwarder: Forwarder, exchange: Exchange, response_id: str
) -> tuple[Endpoint, ConversationState | None]:
    """Call `find` for the exchange's client, and count a response that it does not have."""
    upstreams = forwarder.upstreams
    try:
        return find(config, upstreams.stored, exchange.client, response_id)
    except UnknownResponse:
        upstreams.metrics.refused.add("unknown_response")
        raise


def continued(config: Config, forwarder: Forwarder, exchange: Exchange, fields: BodyFields) -> Continuation:
    """Return the response that a new one continues; nothing if it continues none.

    Raises RequestError: 404 for a response of another client, 400 if the client chooses the id of the new one.
    """
    storage = storage_of(fields)
    exchange.stores = storage.stores
    if storage.continues is None:
        return NEW_RESPONSE
    return Continuation(*storing_endpoint(config, forwarder, exchange, storage.continues))
