"""Define a base model with its adapters, its price, and the way to turn its reasoning on and off."""

# ruff: noqa: RUF009 - `option()` is `dataclasses.field()` with its metadata named
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pointsman.config.option import option


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    name: str = option("The adapter's name in vLLM (`--lora-modules name=path`).")
    description: str = option("For documentation; not used in routing.", "")
    path: str | None = option(
        "The adapter's folder as vLLM sees it, or a name that vLLM resolves; for `pointsman.adapters.load` and "
        "`pointsman adapters load`.",
        None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pricing:
    currency: str = option("Currency of the prices.", "USD")
    prompt_per_1m: float = option("Price of a million prompt tokens.", 0.0, minimum=0)
    completion_per_1m: float = option("Price of a million completion tokens.", 0.0, minimum=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One base model; its adapters inherit all of its settings."""

    reasoning_family: str | None = option(
        "Key of `reasoning_families`, which says how to turn reasoning on and off.", None
    )
    preferred_endpoints: tuple[str, ...] = option("Endpoints that serve this model; empty means all.", ())
    loras: tuple[Lora, ...] = option("LoRA adapters of this model.", ())
    pricing: Pricing | None = option("Price, for `pointsman compare`.", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningFamily:
    type: Literal["chat_template_kwargs", "reasoning_effort"] = option("Where in the request reasoning is set.")
    parameter: str = option("The key that is set, such as `enable_thinking`, `thinking` or `reasoning_effort`.")


BUILTIN_FAMILIES: Mapping[str, ReasoningFamily] = {
    "qwen3": ReasoningFamily(type="chat_template_kwargs", parameter="enable_thinking"),
    "deepseek": ReasoningFamily(type="chat_template_kwargs", parameter="thinking"),
    "gpt-oss": ReasoningFamily(type="reasoning_effort", parameter="reasoning_effort"),
    "gpt": ReasoningFamily(type="reasoning_effort", parameter="reasoning_effort"),
}

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
