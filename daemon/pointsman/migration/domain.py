"""Map each domain of a file to labels of the classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from pointsman.config.labels import cover
from pointsman.config.model import Category, Config
from pointsman.config.words import fold, listing
from pointsman.config.yaml_tree import Node, Table
from pointsman.migration.nodes import children, tables, text
from pointsman.migration.note import Notes


def known(root: Table, labels: Sequence[str], notes: Notes) -> dict[str, tuple[str, ...]]:
    """Return the listed labels that the classifier has, by category or domain; others are noted."""
    by_fold = {fold(label): label for label in labels}
    found = {}
    for node in tables(root, "categories"):
        listed = children(node, "mmlu_categories") or children(node, "labels")
        for label in listed:
            if fold(text(label) or "") not in by_fold:
                notes.dropped(label, f'the classifier has no label "{text(label)}"')
        names = (by_fold.get(fold(text(label) or "")) for label in listed)
        found[text(node, "name") or ""] = tuple(dict.fromkeys(name for name in names if name))
    return found


def hopeless(node: Node, own: Sequence[str]) -> bool:
    """Return whether a category lists labels, but none that the classifier has."""
    return bool(children(node, "mmlu_categories") or children(node, "labels")) and not own


def covered(
    listed: Mapping[str, tuple[str, ...]], others: Iterable[str], labels: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return the labels of each domain, by its list, its name or the table of common names."""
    names = {**listed, **{name: () for name in others if name not in listed}}
    found = cover(_config(names), labels)
    return {
        name: tuple(x for x in labels if x in found.labels_of[name] or name in found.doubled.get(x, ()))
        for name in names
    }


def matcher(claims: Mapping[str, tuple[str, ...]], label: str) -> Callable[[str], bool]:
    """Return a function that tells whether a prompt with this label belongs to a named domain."""
    by_fold: dict[str, set[str]] = {}
    for name, own in claims.items():
        by_fold.setdefault(fold(name), set()).update(own)
    return lambda name: label in by_fold.get(fold(name), ())


def shown(labels: Sequence[str]) -> str:
    return listing(labels) if labels else "no label"


def _config(names: Mapping[str, tuple[str, ...]]) -> Config:
    categories = tuple(Category(name=name, mmlu_categories=own, model_scores=()) for name, own in names.items())
    return Config(vllm_endpoints=(), default_model="", categories=categories)
