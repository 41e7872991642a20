"""Answer `GET /v1/models`."""

from __future__ import annotations

from typing import Any

import msgspec

from pointsman.adapters.catalog import Card, Served
from pointsman.config.model import DIRECT, Config


def model_list(config: Config, served: Served, created: int) -> dict[str, Any]:
    """Return the automatic model, the aliases and all served models; the configured ones while no endpoint answered.

    A served model whose name is an alias is listed by its name, and once more by the name that reaches it.
    """
    cards = served.models() or _configured(config)
    aliases = config.pointsman.routing.aliases
    routed = [Card(name) for name in (config.auto_model_name, *aliases) if name not in cards]
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


def _configured(config: Config) -> dict[str, Card]:
    bases = {base: Card(base) for base in config.model_config}
    return bases | {
        lora.name: Card(lora.name, base) for base, model in config.model_config.items() for lora in model.loras
    }
