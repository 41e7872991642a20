"""Check the categories: their names, and that models and adapters of their names exist."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.config.model import Category, ModelScore
from pointsman.config.validation.subject import ValidatedConfig
from pointsman.config.words import Keys, choose, closest, fold, listing
from pointsman.errors import Problem


def problems(subject: ValidatedConfig) -> Iterator[Problem]:
    """Yield the problems of `categories`, and of references to them."""
    yield from _categories(subject)
    yield from _fallback(subject)


def _categories(subject: ValidatedConfig) -> Iterator[Problem]:
    categories = subject.config.categories
    names: list[tuple[Keys, str]] = [(("categories", i, "name"), x.name) for i, x in enumerate(categories)]
    yield from subject.names(names, str.casefold)
    for i, category in enumerate(categories):
        yield from _category(subject, i, category)


def _category(subject: ValidatedConfig, i: int, category: Category) -> Iterator[Problem]:
    if not category.model_scores and subject.source_map.known("categories", i, "model_scores"):
        fix = "add an entry with model, and lora_name for an adapter"
        yield subject.problem("categories", i, "model_scores", message="no model answers this category", fix=fix)
    both = {fold(x) for x in category.labels}, {fold(x) for x in category.mmlu_categories}
    if all(both) and both[0] != both[1]:
        message = "labels and mmlu_categories mean the same but list different labels"
        yield subject.problem("categories", i, "labels", message=message, fix="keep one of the two")
    for j, entry in enumerate(category.model_scores):
        yield from _entry(subject, ("categories", i, "model_scores", j), entry)


def _entry(subject: ValidatedConfig, keys: Keys, entry: ModelScore) -> Iterator[Problem]:
    known, models, adapters = subject.source_map.known, subject.config.model_config, subject.adapters()
    if not known(*keys, "model") or not known("model_config"):
        return
    if entry.model not in models:
        base = adapters.get(entry.model)
        fix = f"write model: {base} and lora_name: {entry.model}" if base else choose(entry.model, models)
        message = f'the model "{entry.model}" is not defined in model_config'
        yield subject.problem(*keys, "model", message=message, fix=fix)
    elif entry.lora_name is not None and known(*keys, "lora_name") and known("model_config", entry.model, "loras"):
        available = [lora.name for lora in models[entry.model].loras]
        if entry.lora_name not in available:
            message = (
                f'lora_name "{entry.lora_name}" is not defined in model "{entry.model}" loras; '
                f"available: {listing(available)}"
            )
            near = closest(entry.lora_name, available)
            fix = f"did you mean {near}?" if near else "add it to the model's loras, or remove the key"
            yield subject.problem(*keys, "lora_name", message=message, fix=fix)


def _fallback(subject: ValidatedConfig) -> Iterator[Problem]:
    keys = ("classifier", "category_model", "fallback_category")
    name = subject.config.classifier.category_model.fallback_category
    names = [category.name for category in subject.config.categories]
    if (
        name is not None
        and name not in names
        and subject.source_map.known(*keys)
        and subject.source_map.known("categories")
    ):
        yield subject.problem(*keys, message=f'no category is named "{name}"', fix=choose(name, names))
