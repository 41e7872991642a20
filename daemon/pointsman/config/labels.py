"""Assign the classifier's labels to categories; pure functions.

A category covers the labels in its `mmlu_categories` (or `labels`). Without these it covers the label of its own name,
or else the labels that `COMMON` lists for its name and no other category covers. The category named by
`fallback_category`, or else the one named `general`, covers the remaining labels, unless it lists its own.

A category with examples covers no labels. It is described by its texts, as is one that no label covers and that has a
description, or an adapter that has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pointsman.config.model import Category, Config
from pointsman.config.words import fold

GENERAL = "general"

_COMPUTING = ("computer science", "engineering")
_HEALTH = ("health",)
_LAW = ("law",)
_MONEY = ("business", "economics")
_SCIENCE = ("biology", "chemistry", "physics")

COMMON: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("technical", "technology", "tech", "it"), _COMPUTING),
    **dict.fromkeys(("programming", "coding", "code", "software", "software engineering"), _COMPUTING),
    **dict.fromkeys(("computing", "computers", "cs"), ("computer science",)),
    **dict.fromkeys(("medical", "medicine", "healthcare", "health care", "clinical"), _HEALTH),
    **dict.fromkeys(("legal", "laws", "jurisprudence"), _LAW),
    **dict.fromkeys(("finance", "financial", "commerce"), _MONEY),
    **dict.fromkeys(("economy", "economic"), ("economics",)),
    **dict.fromkeys(("accounting", "management", "marketing"), ("business",)),
    **dict.fromkeys(("science", "sciences", "natural science", "natural sciences"), _SCIENCE),
    "stem": (*_SCIENCE, "math", *_COMPUTING),
    **dict.fromkeys(("maths", "mathematics", "mathematical"), ("math",)),
    **dict.fromkeys(("humanities", "liberal arts"), ("history", "philosophy")),
    "historical": ("history",),
    "ethics": ("philosophy",),
    **dict.fromkeys(("psychological", "mental health"), ("psychology",)),
    **dict.fromkeys(("social science", "social sciences"), ("economics", "psychology")),
    **dict.fromkeys(("misc", "miscellaneous", "chat", "smalltalk"), ("other",)),
}
"""Common category names and their labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The labels of each category; a label claimed by two categories is assigned to the first in `labels_of`."""

    labels_of: Mapping[str, tuple[str, ...]]
    """Category to its labels; every category is a key."""
    rest: str | None
    """The category that covers all remaining labels."""
    builtin: Mapping[str, tuple[str, ...]]
    """Categories whose labels come from `COMMON`."""
    descriptions: Mapping[str, tuple[str, ...]]
    """Described category to its description and those of its adapters; those are all that labels do not choose."""
    unreachable: tuple[str, ...]
    """Categories that can never be chosen."""
    uncovered: tuple[str, ...]
    """Labels whose prompts go to `default_model`."""
    unknown: Mapping[str, tuple[str, ...]]
    """Category to its listed labels that the classifier does not have."""
    doubled: Mapping[str, tuple[str, ...]]
    """Label to the two or more categories that claim it."""


def cover(config: Config, labels: Sequence[str], *, describes: bool = True) -> Coverage:
    """Assign the labels to the categories of a config; `describes`: the classifier can score described ones."""
    by_name = {fold(label): label for label in labels}
    claims = {category.name: _claim(category, by_name) for category in config.categories}
    claimed = {label for found in claims.values() for label in found}
    builtin = _builtin(config.categories, claims, by_name, claimed)
    claims |= builtin
    rest = _rest(config)
    if rest is not None:
        taken = {label for name, found in claims.items() if name != rest.name for label in found}
        claims[rest.name] = tuple(x for x in labels if x not in taken)
        builtin.pop(rest.name, None)
    descriptions = {
        category.name: texts
        for category in config.categories
        if describes
        and not claims[category.name]
        and category is not rest
        and (texts := _descriptions(category, config))
    }
    owners: dict[str, list[str]] = {}
    for name, found in claims.items():
        for label in found:
            owners.setdefault(label, []).append(name)
    return Coverage(
        rest=None if rest is None else rest.name,
        labels_of={name: tuple(x for x in found if owners[x][0] == name) for name, found in claims.items()},
        builtin=builtin,
        descriptions=descriptions,
        unreachable=tuple(name for name in _unreachable(config, claims) if name not in descriptions),
        uncovered=tuple(label for label in labels if label not in owners),
        unknown={x.name: missing for x in config.categories if (missing := _missing(x, by_name))},
        doubled={label: tuple(names) for label, names in owners.items() if len(names) > 1},
    )


def _rest(config: Config) -> Category | None:
    """Return the category for all remaining labels; None if that category lists its own."""
    name = config.classifier.category_model.fallback_category
    named = (
        x
        for x in config.categories
        if not x.examples and (x.name == name if name is not None else fold(x.name) == GENERAL)
    )
    rest = next(named, None)
    return None if rest is None or _listed(rest) else rest


def _listed(category: Category) -> tuple[str, ...]:
    return category.mmlu_categories or category.labels


def _claim(category: Category, by_name: Mapping[str, str]) -> tuple[str, ...]:
    """Return the labels that a category claims by list or name, without duplicates, in the classifier's spelling."""
    if category.examples:
        return ()
    wanted: Iterable[str] = _listed(category) or (category.name,)
    return tuple(dict.fromkeys(by_name[fold(name)] for name in wanted if fold(name) in by_name))


def _builtin(
    categories: Sequence[Category],
    claims: Mapping[str, tuple[str, ...]],
    by_name: Mapping[str, str],
    claimed: set[str],
) -> dict[str, tuple[str, ...]]:
    found = {}
    for category in categories:
        if claims[category.name] or _listed(category) or category.examples:
            continue
        meant = (by_name.get(label) for label in COMMON.get(fold(category.name), ()))
        free = tuple(label for label in meant if label is not None and label not in claimed)
        if free:
            found[category.name] = free
    return found


def _unreachable(config: Config, claims: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    fallback = config.classifier.category_model.fallback_category
    names = (category.name for category in config.categories)
    return tuple(name for name in names if not claims[name] and name != fallback)


def _descriptions(category: Category, config: Config) -> tuple[str, ...]:
    """Return what describes a category; if it has only examples, its name."""
    described = {lora.name: lora.description for model in config.model_config.values() for lora in model.loras}
    adapters = (described.get(entry.lora_name or "", "") for entry in category.model_scores)
    texts = tuple(dict.fromkeys(text.strip() for text in (category.description, *adapters) if text.strip()))
    return texts or ((category.name,) if category.examples else ())


def _missing(category: Category, by_name: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(label for label in _listed(category) if fold(label) not in by_name)
