"""Configs as objects, for tests that need no file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pointsman.config.model import (
    AdapterOptions,
    Category,
    CategoryModel,
    ClassifierOptions,
    ClassifierSection,
    Config,
    Endpoint,
    Lora,
    Model,
    ModelScore,
    Options,
    RelayOptions,
    RoutingOptions,
)

BASE = "llama2-7b"
A = Endpoint(name="a", address="127.0.0.1", port=8000)
B = Endpoint(name="b", address="127.0.0.1", port=8001)


QUIET = Options(relay=RelayOptions(health_interval_ms=0), adapters=AdapterOptions(poll_interval_ms=0))
"""Nobody is asked how it does: there is no vLLM."""


def entry(lora: str | None = None, score: float = 1.0, **fields: Any) -> ModelScore:
    """An entry of `model_scores`: an adapter of BASE, or BASE itself."""
    return ModelScore(**({"model": BASE, "lora_name": lora, "score": score} | fields))


def category(name: str, *entries: ModelScore, **fields: Any) -> Category:
    """A category; without entries the adapter `<name>-lora` answers."""
    return Category(name=name, model_scores=entries or (entry(f"{name}-lora"),), **fields)


def config(
    *categories: Category,
    threshold: float = 0.6,
    fallback: str | None = None,
    routing: RoutingOptions | None = None,
    classifier: ClassifierOptions | None = None,
    endpoints: Sequence[Endpoint] = (A,),
    base: Model | None = None,
    **fields: Any,
) -> Config:
    """Return a config with `technical`, `medical` and `legal` by default, all adapters of BASE, a qwen3."""
    chosen = categories or tuple(category(name) for name in ("technical", "medical", "legal"))
    loras = tuple(
        Lora(name=name)
        for name in dict.fromkeys(score.lora_name for item in chosen for score in item.model_scores)
        if name is not None
    )
    built: dict[str, Any] = {
        "vllm_endpoints": tuple(endpoints),
        "model_config": {BASE: base or Model(reasoning_family="qwen3", loras=loras)},
        "default_model": BASE,
        "categories": chosen,
        "classifier": ClassifierSection(category_model=CategoryModel(threshold=threshold, fallback_category=fallback)),
        "pointsman": Options(
            routing=routing or RoutingOptions(), classifier=classifier or ClassifierOptions(threads=2)
        ),
    }
    return Config(**(built | fields))
