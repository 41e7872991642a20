"""Define a category of questions, and the models that may answer it."""

# ruff: noqa: RUF009 - `option()` is `dataclasses.field()` with its metadata named
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pointsman.config.base_model import Effort
from pointsman.config.option import option


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelScore:
    model: str = option("Base model; a key of `model_config`.")
    score: float = option(
        "The available model with the highest score answers, the first of equals; with `split: score` it is a share.",
        1.0,
        above=0,
    )
    lora_name: str | None = option(
        "Adapter that answers, one of the model's `loras`; without it the base model answers.", None
    )
    use_reasoning: bool = option("Turn the model's reasoning on or off for this category.", False)
    reasoning_effort: Effort | None = option(
        "Effort, if the family has one; default: `default_reasoning_effort`.", None
    )
    reasoning_description: str = option("For documentation; not used in routing.", "")

    @property
    def target(self) -> str:
        """Return the model name to request from vLLM."""
        return self.lora_name or self.model


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    name: str = option("Name of the category; compared with labels case-insensitively.")
    description: str = option("For documentation; not used in routing.", "")
    mmlu_categories: tuple[str, ...] = option("The classifier's labels that this category covers.", ())
    labels: tuple[str, ...] = option("Alias of `mmlu_categories`.", ())
    system_prompt: str = option("System prompt that is added to requests of this category.", "")
    system_prompt_enabled: bool = option("Use `system_prompt`.", True)
    system_prompt_mode: Literal["replace", "insert"] = option(
        "`replace` the client's system prompt, or `insert` this one before it, which is better; in a request that "
        "carries tools it is always inserted.",
        "replace",
    )
    model_scores: tuple[ModelScore, ...] = option("Models that may answer; at least one.")
