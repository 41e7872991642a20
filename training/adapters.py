"""Fleets of invented adapters, which the encoder is trained to tell apart by their texts, as the service does."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data import CannotTrain

FOLDER = Path(__file__).parent / "fleets"
FURTHER = "fleets_train.json"
"""In the folder with the data: fleets that are not in the repository."""

PROMPTS = 7
"""Prompts of an adapter in a batch; one with fewer is left out."""
_OUTSIDE, _ORDINARY = 10, 24
"""Prompts of a batch that belong to no adapter: of a fleet's people, and of anybody."""
_MIXED = 0.25
"""Share of the batches whose adapters are of all fleets: in one fleet they are near, but there are few."""


@dataclass(frozen=True, slots=True)
class InventedAdapter:
    """What its owner says of it, and what people send to it."""

    description: str
    prompts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fleet:
    """The adapters of one host, and prompts of its people that belong to none."""

    adapters: tuple[InventedAdapter, ...]
    outside: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FleetBatch:
    """Texts that are compared: a description and PROMPTS prompts of each adapter, and prompts that belong to none."""

    descriptions: list[str]
    prompts: list[str]
    """Those of the first adapter, then those of the second, and so on."""
    outside: list[str]
    ordinary: list[str]


def read_fleets(data_dir: Path, is_test: Callable[[str], bool]) -> list[Fleet]:
    """Return all fleets without the prompts that judge; raises CannotTrain."""
    try:
        further = json.loads((data_dir / FURTHER).read_text("utf-8"))["fleets"]
    except FileNotFoundError:
        raise CannotTrain(f'{data_dir / FURTHER}: no such file; it must hold {{"fleets": [..]}}') from None
    ours = [json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))]
    return [_fleet(one, is_test) for one in [*ours, *further]]


def files(data_dir: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and the path of each file that `read_fleets` reads."""
    yield FURTHER, data_dir / FURTHER
    yield from ((f"fleets/{path.name}", path) for path in sorted(FOLDER.glob("*.json")))


def draw(fleets: Sequence[Fleet], ordinary: Sequence[str], rng: random.Random) -> FleetBatch:
    """Return a batch of a fleet, or of as many adapters of all fleets with the prompts outside of one."""
    fleet = rng.choice(fleets)
    adapters: Iterable[InventedAdapter] = fleet.adapters
    if rng.random() < _MIXED:
        adapters = rng.sample([one for some in fleets for one in some.adapters], len(fleet.adapters))
    prompts = [text for adapter in adapters for text in rng.sample(adapter.prompts, PROMPTS)]
    outside = rng.sample(fleet.outside, min(_OUTSIDE, len(fleet.outside)))
    asked = rng.sample(ordinary, min(_ORDINARY, len(ordinary)))
    return FleetBatch([adapter.description for adapter in adapters], prompts, outside, asked)


def _fleet(written: Mapping[str, Any], is_test: Callable[[str], bool]) -> Fleet:
    adapters = (
        InventedAdapter(one["description"], tuple(text for text in one["prompts"] if not is_test(text)))
        for one in written["adapters"]
        if not is_test(one["description"])
    )
    outside = tuple(text for text in written["outside"] if not is_test(text))
    return Fleet(tuple(one for one in adapters if len(one.prompts) >= PROMPTS), outside)
