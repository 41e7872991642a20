"""Give the prices of the models, by which conversations are compared."""

from __future__ import annotations

from collections.abc import Mapping

from pointsman.config.model import Config

Prices = Mapping[str, tuple[float, float]]
"""The price of a prompt token and of a completion token, by model and adapter."""


def prices_of(config: Config) -> Prices:
    """Return the prices in a config."""
    found: dict[str, tuple[float, float]] = {}
    for base, model in config.model_config.items():
        if model.pricing is not None:
            price = model.pricing.prompt_per_1m / 1e6, model.pricing.completion_per_1m / 1e6
            found |= dict.fromkeys((base, *(lora.name for lora in model.loras)), price)
    return found


def cost_of(prices: Prices, model: str, prompt_tokens: int, completion_tokens: int) -> float:
    """Return the cost of a request; 0 for a model without prices."""
    prompt, completion = prices.get(model, (0.0, 0.0))
    return prompt_tokens * prompt + completion_tokens * completion
