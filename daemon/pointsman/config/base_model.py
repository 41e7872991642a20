"""Define a base model with its adapters, its price, and the way to turn its reasoning on and off."""

# ruff: noqa: RUF009 - `option()` is `dataclasses.field()` with its metadata named
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pointsman.config.option import option
from pointsman.config.source_map import SourceMap
from pointsman.config.words import Keys, choose
from pointsman.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    name: str = option("The adapter's name in vLLM (`--lora-modules name=path`).")
    description: str = option("What the adapter is for; read like the description of each category it answers.", "")
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


# The beginnings of the types of message parts for which vLLM looks for a default adapter among all that it has.
_PARTS = frozenset({"audio", "image", "input", "text", "video"})


def problems(models: Mapping[str, Model], source_map: SourceMap) -> Iterator[Problem]:
    """Yield the names of models and adapters that are empty or used twice."""
    names: list[tuple[Keys, str]] = [((base,), base) for base in models]
    for base, model in models.items():
        names += [((base, "loras", i, "name"), lora.name) for i, lora in enumerate(model.loras)]
    yield from source_map.names(names)


def family_problems(families: Mapping[str, ReasoningFamily], source_map: SourceMap) -> Iterator[Problem]:
    """Yield the problems of `reasoning_families`."""
    for name, family in families.items():
        if not family.parameter and source_map.known(name, "parameter"):
            yield source_map.problem((name, "parameter"), "the text is empty", "write the key to set in a request")


def warnings(
    models: Mapping[str, Model], families: Mapping[str, ReasoningFamily], source_map: SourceMap
) -> Iterator[Problem]:
    """Yield unknown reasoning families, and adapters that vLLM uses where nobody chose them, because of their names."""
    for base, model in models.items():
        if model.reasoning_family is not None and model.reasoning_family not in families:
            message = f'no reasoning family is named "{model.reasoning_family}": reasoning is not changed'
            fix = f"{choose(model.reasoning_family, families)}; or define it in reasoning_families, or remove the key"
            yield source_map.problem((base, "reasoning_family"), message, fix)
        for index, lora in enumerate(model.loras):
            if lora.name in _PARTS:
                message = (
                    f'vLLM takes "{lora.name}" for one of its --default-mm-loras: in chats with such parts it answers '
                    f"for {base}, but not for another adapter that was chosen"
                )
                fix = "load it under another name, unless that is meant"
                yield source_map.problem((base, "loras", index, "name"), message, fix)
