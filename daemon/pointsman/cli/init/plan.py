"""Assign adapters to categories by their names, paths and cards; pure functions."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pointsman.cli.init.card import Card, bounded
from pointsman.cli.init.served import Adapter, VllmInventory
from pointsman.config.labels import COMMON, GENERAL
from pointsman.config.option import EMPTY
from pointsman.config.words import fold

MAX_CATEGORY_CHARACTERS = 60
_WORD = re.compile(r"[^\W_]+")
_MAX_PHRASE_WORDS = 3
_FOLDERS = 2
"""Number of folders at the end of a path that may name a domain, as in `medical/v3`."""
_REST = ("other",)
"""The labels of `chat`; a name that has another word, as `agronomy-chat`, is about that."""
_MEANINGLESS = frozenset({"adapter", "assistant", "bot", "general", "lo", "lora", "model", "ra", "v"})
"""Words, as of `general-chat-LoRA`, that are about nothing."""


@dataclass(frozen=True, slots=True)
class PlannedCategory:
    """A category with its labels, its adapter, and other adapters of the same domain."""

    name: str
    labels: tuple[str, ...]
    adapter: Adapter
    others: tuple[Adapter, ...]


@dataclass(frozen=True, slots=True)
class TextCategory:
    """A category of one adapter that no label covers, with its description: the card's, or a guess from the name."""

    name: str
    description: str
    guessed: bool
    adapter: Adapter
    made_for: str
    """The base model and task of the card, or nothing."""


@dataclass(frozen=True, slots=True)
class InitPlan:
    """The categories, the adapters of unknown domain, and those whose labels a category of the config has."""

    categories: tuple[PlannedCategory, ...]
    unknown: tuple[Adapter, ...]
    taken: Mapping[Adapter, str]


def plan(
    served: VllmInventory, labels: Sequence[str], given: Mapping[str, str] = EMPTY, names: Iterable[str] = ()
) -> InitPlan:
    """Assign each label to at most one adapter: the one with the narrowest domain, the first of equals.

    `given` are labels with the categories that the config has for them; `names` are those of its categories.
    """
    phrases = {**COMMON, **{fold(label): (label,) for label in labels}}
    domains = {adapter: _domain(adapter, served, phrases) for adapter in served.adapters}
    wanted = {adapter: _labels(domain, phrases, labels) for adapter, domain in domains.items()}
    claims = {adapter: tuple(x for x in claim if x not in given) for adapter, claim in wanted.items()}
    owner: dict[str, Adapter] = {}
    for adapter in sorted(claims, key=lambda adapter: len(claims[adapter])):
        for label in claims[adapter]:
            owner.setdefault(label, adapter)
    own = {adapter: tuple(x for x in labels if owner.get(x) == adapter) for adapter in claims}
    beaten = {adapter: owner[claim[0]] for adapter, claim in claims.items() if claim and not own[adapter]}
    used = set(map(fold, names))
    return InitPlan(
        categories=tuple(
            PlannedCategory(
                _unused(" ".join(domains[adapter]), used),
                mine,
                adapter,
                tuple(x for x in beaten if beaten[x] == adapter),
            )
            for adapter, mine in own.items()
            if mine
        ),
        unknown=tuple(adapter for adapter, claim in wanted.items() if not claim),
        taken={adapter: given[claim[0]] for adapter, claim in wanted.items() if claim and not claims[adapter]},
    )


def describe(
    adapters: Iterable[Adapter], cards: Mapping[str, Card], labels: Iterable[str], names: Iterable[str]
) -> tuple[TextCategory, ...]:
    """Return a category for each adapter; neither a label nor one of `names`, the other categories', has its name."""
    used = {*map(fold, (*labels, *names, GENERAL)), *COMMON}
    found, texts = [], set[str]()
    for adapter in adapters:
        name = _unused(re.sub(r"[^\w.-]+", "-", adapter.name).strip("-")[:MAX_CATEGORY_CHARACTERS] or "adapter", used)
        card = cards.get(adapter.name, Card("", ""))
        text = card.description or bounded(" ".join(_guess(adapter))) or name
        text = text if text not in texts else f"{text} ({name})"  # as two versions of an adapter have one card
        texts.add(text)
        found.append(TextCategory(name, text, not card.description, adapter, card.made_for))
    return tuple(found)


def _unused(name: str, used: set[str]) -> str:
    """Return the name, with a number where it is used; the result is used from now on."""
    names = (name if number == 1 else f"{name}-{number}" for number in itertools.count(1))
    found = next(each for each in names if fold(each) not in used)
    used.add(fold(found))
    return found


def _guess(adapter: Adapter) -> list[str]:
    """Return the words of the name, without those of the base model's unless nothing is left."""
    found = _WORD.findall(_split_capitals(adapter.name))
    base = set(_WORD.findall(_split_capitals(adapter.base).casefold()))
    return [word for word in found if word.casefold() not in base] or found


def _domain(adapter: Adapter, served: VllmInventory, phrases: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the phrases that name the domain, from the adapter's name or else the end of its path.

    Words of the base model's name are ignored.
    """
    folders = PurePosixPath(adapter.path or "").parts[-_FOLDERS:]
    ignored = {word for text in (adapter.base, served.bases[adapter.base] or "") for word in words(text)}
    for text in (adapter.name, *reversed(folders)):
        said = [x for x in words(text) if x not in ignored]
        found = list(dict.fromkeys(_phrases(said, phrases)))
        if subjects := [one for one in found if phrases[one] != _REST]:
            return subjects
        if found and _MEANINGLESS.issuperset({*said} - {*found}):
            return found
    return []


def words(text: str) -> list[str]:
    """Split text into words: `MedicalLoRA_v2` into medical, lo, ra, v."""
    return re.findall(r"[^\W\d_]+", _split_capitals(text).casefold())


def _split_capitals(text: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)


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
