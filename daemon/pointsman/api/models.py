"""Answer `GET /v1/models`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pointsman.adapters.catalog import ModelCard, ServedModels
from pointsman.config.client_keys import ClientKey, KeyScope
from pointsman.config.model import DIRECT, Config
from pointsman.errors import RequestError


def model_list(config: Config, served: ServedModels, created: int, key: ClientKey | None = None) -> dict[str, Any]:
    """Return the automatic model, the aliases and all served models; the configured ones while no endpoint answered.

    A served model whose name is an alias is listed by its name, and once more by the name that reaches it. For the
    client with a `key`, its own aliases are listed as well, and only the models that it may use. The `root` of the
    automatic model is its base model's, from which clients load the tokenizer.
    """
    scope = None if key is None else key.scope
    cards = served.models() or _configured(config)
    aliases = config.aliases_of(None if key is None else key.name)
    shortest, root = _shortest(config, served), _root(config, served, cards, scope)
    names = [name for name in (config.auto_model_name, *aliases) if name not in cards]
    routed = [ModelCard(name, max_model_len=shortest, root=root) for name in names]
    if scope is not None:
        cards = {name: card for name, card in cards.items() if scope.allows(name)}
    direct = [msgspec.structs.replace(cards[name], id=DIRECT + name) for name in aliases if name in cards]
    data = [
        {
            "id": card.id,
            "object": "model",
            "created": created,
            "owned_by": "vllm" if card.id in cards else "pointsman",
            "root": card.root or card.id.removeprefix(DIRECT),
            "parent": card.parent,
            "max_model_len": card.max_model_len,
            "permission": [_permission(card, created)],
        }
        for card in (*routed, *cards.values(), *direct)
    ]
    return {"object": "list", "data": data}


def _permission(card: ModelCard, created: int) -> dict[str, Any]:
    """Return the permission that vLLM reports for every model, as OpenAI's API once did."""
    return {
        "id": f"modelperm-{card.id}",
        "object": "model_permission",
        "created": created,
        "allow_create_engine": False,
        "allow_sampling": True,
        "allow_logprobs": True,
        "allow_search_indices": False,
        "allow_view": True,
        "allow_fine_tuning": False,
        "organization": "*",
        "group": None,
        "is_blocking": False,
    }


def model_of_list(listed: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the entry of a model in a list; raises RequestError."""
    for entry in listed["data"]:
        if entry["id"] == name:
            found: dict[str, Any] = entry
            return found
    shown = name if len(name) <= 128 and name.isprintable() else "of this name"
    raise RequestError(f"The model `{shown}` does not exist.", status=404, code="model_not_found", param="model")


def _root(config: Config, served: ServedModels, cards: Mapping[str, ModelCard], scope: KeyScope | None) -> str:
    """Return the root of the base model that answers if no category is chosen."""
    name = config.default_model if scope is None else scope.default
    base = served.base_name(config.base_of(name), config.endpoints_of(name))
    card = cards.get(base)
    return base if card is None or card.root is None else card.root


def _shortest(config: Config, served: ServedModels) -> int | None:
    """Return the greatest length that every model accepts which may answer a request for the automatic model."""
    lengths = []
    for name in config.choices:
        endpoints = config.endpoints_of(name)
        names = {name, served.base_name(config.base_of(name), endpoints)}
        cards = [card for endpoint in endpoints for card in served.cards.get(endpoint.name, ()) if card.id in names]
        lengths += [card.max_model_len for card in cards if card.max_model_len is not None]
    return min(lengths, default=None)


def _configured(config: Config) -> dict[str, ModelCard]:
    bases = {base: ModelCard(base) for base in config.model_config}
    return bases | {
        lora.name: ModelCard(lora.name, base) for base, model in config.model_config.items() for lora in model.loras
    }
