"""Identify the key of a request, and the models that it may use. Pure, except for the time of day."""

from __future__ import annotations

import time

from pointsman.config.client_keys import ClientKey, ClientKeys
from pointsman.errors import ModelNotAllowed, Unauthorized
from pointsman.http1.request_head import RequestHead

_BEARER = b"bearer "
# Of a name in an error; clients may ask for one of any length.
_MAX_NAME_CHARACTERS = 256


def key_of(keys: ClientKeys, head: RequestHead) -> ClientKey:
    """Return the key of a request by `Authorization` or `x-api-key`; raises Unauthorized (401).

    If both are there, they must be the same key, as another server might read the other one.
    """
    bearer, plain = head.values.get(b"authorization"), head.values.get(b"x-api-key")
    if bearer is None:
        if plain is None:
            raise Unauthorized("a key is needed: send it as `Authorization: Bearer KEY`, or as `x-api-key: KEY`")
        secret = plain
    else:
        secret = bearer[len(_BEARER) :].lstrip(b" ") if bearer[: len(_BEARER)].lower() == _BEARER else b""
    key = keys.find(secret)
    other = key if plain is None else keys.find(plain)
    if key is None or other is None or other.name != key.name:
        raise Unauthorized("the key is not valid, or not sent as `Authorization: Bearer KEY` or `x-api-key: KEY`")
    if key.expires <= time.time():
        raise Unauthorized(f"the key has expired ({key.name})")
    return key


def check_model(key: ClientKey | None, model: str | None) -> None:
    """Raise ModelNotAllowed (403) if the key may not use a request's model, which is None if it cannot be read."""
    if key is None or key.scope is None or key.scope.models is None:
        return
    if model is None:
        raise ModelNotAllowed("your key may use certain models only, and the request names none in a JSON body")
    if not key.scope.allows(model):
        raise ModelNotAllowed(
            f"your key may not use the model `{model[:_MAX_NAME_CHARACTERS]}`; `GET /v1/models` lists those"
        )
