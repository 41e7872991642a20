"""Keep examples that people add on the page, in a file of the state directory, beside those of the config.

They are added to categories that the config describes, and change no other: which categories are described never
depends on them. Those that the config leaves no room for do not count, and are no error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from pointsman.config.category import MAX_ALL_EXAMPLES, MAX_EXAMPLES, example_trouble
from pointsman.config.labels import cover
from pointsman.config.model import Config
from pointsman.config.words import fold
from pointsman.store.rows_file import RowsFile, encoded

NAME = "kept_examples.jsonl"
MAX_KEPT_BYTES = 128 << 20
"""Each character may take six bytes."""


class KeptExample(msgspec.Struct, frozen=True):
    """A prompt that belongs to a category."""

    category: str
    text: str

    @property
    def id(self) -> str:
        """Return a name for the example, which contains no text."""
        return hashlib.sha256(encoded(self)).hexdigest()[:16]


class WithKept(NamedTuple):
    """A config with the kept examples after its own, why some do not count, and what the operator should know."""

    config: Config
    idle: Mapping[KeptExample, str]
    warnings: tuple[str, ...] = ()


def read(state: Path) -> list[KeptExample]:
    """Return the kept examples, without damaged lines; raises OSError."""
    try:
        rows = RowsFile(state / NAME, KeptExample, MAX_KEPT_BYTES).read()
    except FileNotFoundError:
        return []
    return list(dict.fromkeys(row for row in rows if row is not None))


def write(state: Path, kept: Iterable[KeptExample]) -> None:
    """Replace the file; raises OSError."""
    RowsFile(state / NAME, KeptExample, MAX_KEPT_BYTES).replace(kept)


def added(config: Config, labels: Sequence[str], state: Path | None, *, describes: bool) -> WithKept:
    """Return the config with the kept examples of a state directory; `describes` as for `cover`."""
    if state is None:
        return WithKept(config, {})
    file = state / NAME
    try:
        found = with_kept(config, labels, read(state), describes=describes)
    except OSError as error:
        trouble = f"{file} cannot be read ({error.strerror}): the examples that were added on the page do not count"
        return WithKept(config, {}, (trouble,))
    if not found.idle:
        return found
    one, why = next(iter(found.idle.items()))
    trouble = f'{len(found.idle):,} of its examples do not count, such as one of "{one.category}": {why}'
    return found._replace(warnings=(f"{file}: {trouble}; undo them on the page (Adapters), or change the config",))


def with_kept(config: Config, labels: Sequence[str], kept: Sequence[KeptExample], *, describes: bool) -> WithKept:
    """Return the config with kept examples; `describes` as for `cover`."""
    if not kept:
        return WithKept(config, {})
    described = cover(config, labels, describes=describes).descriptions
    texts = {category.name: list(category.examples) for category in config.categories}
    owners = {fold(text): name for name, some in texts.items() for text in some}
    room = MAX_ALL_EXAMPLES - sum(map(len, texts.values()))
    idle = {}
    for one in kept:
        why = None
        if one.category not in described:
            why = "it is no category that texts describe"
        elif (trouble := example_trouble(one.text)) is not None:
            why = trouble[0]
        elif (owner := owners.get(fold(one.text))) is not None:
            why = f'it is an example of "{owner}" already'
        elif len(texts[one.category]) >= MAX_EXAMPLES:
            why = f"a category has at most {MAX_EXAMPLES} examples"
        elif room == 0:
            why = f"there are at most {MAX_ALL_EXAMPLES:,} examples in all categories"
        if why is not None:
            idle[one] = why
            continue
        texts[one.category].append(one.text)
        owners[fold(one.text)] = one.category
        room -= 1
    categories = tuple(replace(category, examples=tuple(texts[category.name])) for category in config.categories)
    return WithKept(replace(config, categories=categories), idle)


def is_full(kept: Sequence[KeptExample], category: str) -> bool:
    """Return whether the file takes no more examples of a category, also of those that do not count."""
    return len(kept) >= MAX_ALL_EXAMPLES or sum(one.category == category for one in kept) >= MAX_EXAMPLES
