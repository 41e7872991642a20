"""Answer `GET /v1/models`."""

from __future__ import annotations

from typing import Any

import msgspec

from pointsman.adapters.catalog import Card, Served
from pointsman.config.client_keys import ClientKey
from pointsman.config.model import DIRECT, Config
from pointsman.errors import RequestError


def model_list(config: Config, served: Served, created: int, key: ClientKey | None = None) -> dict[str, Any]:
    """Return the automatic model, the aliases and all served models; the configured ones while no endpoint answered.

    A served model whose name is an alias is listed by its name, and once more by the name that reaches it. For
    the client with a `key`, its own aliases are listed as well, and only the models that it may use.
    """
    scope = None if key is None else key.scope
    cards = served.models() or _configured(config)
    aliases = config.aliases_of(None if key is None else key.name)
    shortest = _shortest(config, served)
    routed = [Card(name, max_model_len=shortest) for name in (config.auto_model_name, *aliases) if name not in cards]
    if scope is not None:
        cards = {name: card for name, card in cards.items() if scope.allows(name)}
    direct = [msgspec.structs.replace(cards[name], id=DIRECT + name) for name in aliases if name in cards]
    data = [
        {
            "id": card.id,
            "object": "model",
            "created": created,
            "owned_by": "vllm" if card.id in cards else "pointsman",
            "root": card.id.removeprefix(DIRECT),
            "parent": card.parent,
            "max_model_len": card.max_model_len,
        }
        for card in (*routed, *cards.values(), *direct)
    ]
    return {"object": "list", "data": data}


def model_of_list(listed: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the entry of a model in a list; raises RequestError."""
    for entry in listed["data"]:
        if entry["id"] == name:
            found: dict[str, Any] = entry
            return found
    shown = name if len(name) <= 128 and name.isprintable() else "of this name"
    raise RequestError(f"The model `{shown}` does not exist.", status=404, code="model_not_found", param="model")


def _shortest(config: Config, served: Served) -> int | None:
    """Return the greatest length that every model takes which may answer a request for the automatic model."""
    lengths = []
    for name in config.choices:
        endpoints = config.endpoints_of(name)
        names = {name, served.base_name(config.base_of(name), endpoints)}
        cards = [card for endpoint in endpoints for card in served.cards.get(endpoint.name, ()) if card.id in names]
        lengths += [card.max_model_len for card in cards if card.max_model_len is not None]
    return min(lengths, default=None)


def _configured(config: Config) -> dict[str, Card]:
    bases = {base: Card(base) for base in config.model_config}
    return bases | {
        lora.name: Card(lora.name, base) for base, model in config.model_config.items() for lora in model.loras
    }
