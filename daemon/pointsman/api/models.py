"""Answer `GET /v1/models`."""

from __future__ import annotations

from typing import Any

from pointsman.adapters.catalog import Card, Served
from pointsman.config.model import Config


def model_list(config: Config, served: Served, created: int) -> dict[str, Any]:
    """Return the automatic model and all served models; the configured ones while no endpoint has answered."""
    cards = served.models() or _configured(config)
    auto = Card(config.auto_model_name)
    data = [
        {
            "id": card.id,
            "object": "model",
            "created": created,
            "owned_by": "pointsman" if card is auto else "vllm",
            "root": card.id,
            "parent": card.parent,
            "max_model_len": card.max_model_len,
        }
        for card in (auto, *cards.values())
    ]
    return {"object": "list", "data": data}


def _configured(config: Config) -> dict[str, Card]:
    bases = {base: Card(base) for base in config.model_config}
    return bases | {
        lora.name: Card(lora.name, base) for base, model in config.model_config.items() for lora in model.loras
    }
