"""Requests about responses that vLLM stores: for the client of the response alone, at the endpoint that has it."""

from __future__ import annotations

from pointsman.config.model import Config, Endpoint
from pointsman.errors import UnknownResponse
from pointsman.proxy.client_identity import client_identity
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.forward import Forwarder
from pointsman.routing.body import Fields
from pointsman.routing.formats.responses import storage_of


def keeper(config: Config, forwarder: Forwarder, exchange: Exchange, response_id: str) -> Endpoint:
    """Return the endpoint that has a response of this client; raises UnknownResponse (404)."""
    name = forwarder.upstreams.stored.endpoint_of(response_id, client_identity(exchange.request.head))
    for endpoint in config.vllm_endpoints:
        if endpoint.name == name:
            return endpoint
    forwarder.upstreams.metrics.refused.add("unknown_response")
    raise UnknownResponse(response_id)


def continued(config: Config, forwarder: Forwarder, exchange: Exchange, fields: Fields) -> Endpoint | None:
    """Return the endpoint that a new response is bound to as it continues another one; None if it is free.

    Raises RequestError: 404 for a response of another client, 400 if the client chooses the id of the new one.
    """
    storage = storage_of(fields)
    exchange.stores = storage.stores
    return None if storage.continues is None else keeper(config, forwarder, exchange, storage.continues)
