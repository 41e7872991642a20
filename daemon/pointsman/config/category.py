"""Define a category of questions, and the models that may answer it."""

# ruff: noqa: RUF009 - `option()` is `dataclasses.field()` with its metadata named
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pointsman.config.base_model import Effort
from pointsman.config.option import option
from pointsman.config.source_map import SourceMap
from pointsman.config.words import Keys, fold
from pointsman.errors import Problem

MAX_EXAMPLES = 200
"""Of one category."""
MAX_ALL_EXAMPLES = 2000
MAX_EXAMPLE_CHARACTERS = 10_000
MAX_QUOTED = 60
"""Characters of an example in a message."""


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
    description: str = option(
        "What the category is for. If no label covers it, prompts are compared with this, with the descriptions of its "
        "adapters, and with `examples`; else it is for people.",
        "",
    )
    examples: tuple[str, ...] = option(
        "Prompts that belong to the category; with them, labels no longer count for it. Each is read up to 128 tokens.",
        (),
    )
    examples_file: str | None = option(
        "File (relative to this one) with more examples: a prompt on each line of a `.txt`, or a `.jsonl` of rows "
        '`{"text": "..."}`. At most 1 MiB.',
        None,
        file=True,
    )
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


def problems(categories: Sequence[Category], source_map: SourceMap) -> Iterator[Problem]:
    """Yield the problems of each category, except for what its entries name."""
    yield from source_map.names((((i, "name"), one.name) for i, one in enumerate(categories)), str.casefold)
    if sum(len(one.examples) for one in categories) > MAX_ALL_EXAMPLES:
        message = f"more than {MAX_ALL_EXAMPLES:,} examples in all categories"
        yield source_map.problem((), message, "keep the most different ones; `pointsman fit` reads more")
    yield from _shared_examples(categories, source_map)
    for i, category in enumerate(categories):
        if not category.model_scores and source_map.known(i, "model_scores"):
            fix = "add an entry with model, and lora_name for an adapter"
            yield source_map.problem((i, "model_scores"), "no model answers this category", fix)
        if category.examples and (category.mmlu_categories or category.labels):
            message = "labels and examples exclude each other: a category is covered by labels, or described by texts"
            fix = "remove the examples, or the list of labels"
            yield source_map.problem((i, _given_by(i, source_map)), message, fix)
        yield from _example_problems(i, category.examples, source_map)
        both = {fold(x) for x in category.labels}, {fold(x) for x in category.mmlu_categories}
        if all(both) and both[0] != both[1]:
            message = "labels and mmlu_categories mean the same but list different labels"
            yield source_map.problem((i, "labels"), message, "keep one of the two")


def _example_problems(index: int, examples: Sequence[str], source_map: SourceMap) -> Iterator[Problem]:
    if len(examples) > MAX_EXAMPLES:
        message = f"{len(examples)} examples, at most {MAX_EXAMPLES} are read"
        fix = "keep the most different ones; `pointsman fit` reads more"
        yield source_map.problem((index, _given_by(index, source_map)), message, fix)
    for at, text in enumerate(examples):
        if (trouble := example_trouble(text)) is not None:
            yield source_map.problem((index, "examples", at), *trouble)


def _given_by(index: int, source_map: SourceMap) -> str:
    return "examples" if source_map.has(index, "examples") else "examples_file"


def example_trouble(text: str) -> tuple[str, str] | None:
    """Return what is wrong with an example, and the fix; None if it can be used."""
    fix = "write what a user would ask"
    if not text.strip():
        return "the example is empty", fix
    if len(text) > MAX_EXAMPLE_CHARACTERS:
        return f"the example has {len(text):,} characters, at most {MAX_EXAMPLE_CHARACTERS:,} are read", fix
    return None


def _shared_examples(categories: Sequence[Category], source_map: SourceMap) -> Iterator[Problem]:
    """Yield the first example of each category that an earlier one has as well."""
    owners: dict[str, int] = {}
    for i, category in enumerate(categories):
        for at, text in enumerate(category.examples):
            if text.strip() and (owner := owners.setdefault(fold(text), i)) != i:
                listed = source_map.has(i, "examples", at)
                message = f'{text[:MAX_QUOTED]!r} is an example of "{categories[owner].name}", too'
                where = (i, "examples", at) if listed else (i, "examples_file")
                yield source_map.problem(where, message, "remove it from one of the two")
                break


def warnings(categories: Sequence[Category], source_map: SourceMap) -> Iterator[Problem]:
    """Yield what semantic-router would refuse, and what deletes clients' system prompts; each once."""
    missing: list[Keys] = [
        (i, "model_scores", j, "use_reasoning")
        for i, category in enumerate(categories)
        for j in range(len(category.model_scores))
        if not source_map.has(i, "model_scores", j, "use_reasoning")
    ]
    if missing:
        others = "" if len(missing) == 1 else f", nor in {len(missing) - 1} more entries"
        message = f"use_reasoning is not set here{others}; false is assumed, but semantic-router would refuse the file"
        yield source_map.problem(missing[0], message, "add `use_reasoning: false`")
    replacing = [
        i
        for i, category in enumerate(categories)
        if category.system_prompt and category.system_prompt_enabled and category.system_prompt_mode == "replace"
    ]
    if replacing:
        others = "" if len(replacing) == 1 else f", and in {len(replacing) - 1} more categories"
        message = f"this category deletes the client's own system prompt (`replace`, the default){others}"
        fix = "write `system_prompt_mode: insert`, which keeps it"
        yield source_map.problem((replacing[0], "system_prompt_mode"), message, fix)
