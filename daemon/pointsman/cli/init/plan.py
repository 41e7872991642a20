"""Assign adapters to categories by their names and paths; pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pointsman.cli.init.served import Adapter, VllmInventory
from pointsman.config.labels import COMMON
from pointsman.config.words import fold

_MAX_PHRASE_WORDS = 3
_FOLDERS = 2
"""Number of folders at the end of a path that may name a domain, as in `medical/v3`."""


@dataclass(frozen=True, slots=True)
class PlannedCategory:
    """A category with its labels, its adapter, and other adapters of the same domain."""

    name: str
    labels: tuple[str, ...]
    adapter: Adapter
    others: tuple[Adapter, ...]


@dataclass(frozen=True, slots=True)
class InitPlan:
    """The categories, and the adapters of unknown domain."""

    categories: tuple[PlannedCategory, ...]
    unknown: tuple[Adapter, ...]


def plan(served: VllmInventory, labels: Sequence[str]) -> InitPlan:
    """Assign each label to at most one adapter: the one with the narrowest domain, the first of equals."""
    phrases = {**COMMON, **{fold(label): (label,) for label in labels}}
    domains = {adapter: _domain(adapter, served, phrases) for adapter in served.adapters}
    claims = {adapter: _labels(domain, phrases, labels) for adapter, domain in domains.items()}
    owner: dict[str, Adapter] = {}
    for adapter in sorted(claims, key=lambda adapter: len(claims[adapter])):
        for label in claims[adapter]:
            owner.setdefault(label, adapter)
    own = {adapter: tuple(x for x in labels if owner.get(x) == adapter) for adapter in claims}
    beaten = {adapter: owner[claim[0]] for adapter, claim in claims.items() if claim and not own[adapter]}
    return InitPlan(
        categories=tuple(
            PlannedCategory(" ".join(domains[adapter]), mine, adapter, tuple(x for x in beaten if beaten[x] == adapter))
            for adapter, mine in own.items()
            if mine
        ),
        unknown=tuple(adapter for adapter, claim in claims.items() if not claim),
    )


def _domain(adapter: Adapter, served: VllmInventory, phrases: Mapping[str, object]) -> list[str]:
    """Return the phrases that name the domain, from the adapter's name or else the end of its path.

    Words of the base model's name are ignored.
    """
    folders = PurePosixPath(adapter.path or "").parts[-_FOLDERS:]
    ignored = {word for text in (adapter.base, served.bases[adapter.base] or "") for word in words(text)}
    for text in (adapter.name, *reversed(folders)):
        if found := list(dict.fromkeys(_phrases([x for x in words(text) if x not in ignored], phrases))):
            return found
    return []


def words(text: str) -> list[str]:
    """Split text into words: `MedicalLoRA_v2` into medical, lo, ra, v."""
    return re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).casefold())


def _phrases(among: Sequence[str], known: Mapping[str, object]) -> Iterator[str]:
    """Yield the known phrases among the words, the longest at each position."""
    start = 0
    while start < len(among):
        lengths = range(_MAX_PHRASE_WORDS, 0, -1)
        found = next((n for n in lengths if " ".join(among[start : start + n]) in known), None)
        if found is not None:
            yield " ".join(among[start : start + found])
        start += found or 1


def _labels(domain: Sequence[str], phrases: Mapping[str, Sequence[str]], labels: Sequence[str]) -> tuple[str, ...]:
    wanted = {label for phrase in domain for label in phrases[phrase]}
    return tuple(label for label in labels if label in wanted)
