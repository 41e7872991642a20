"""A guide of the docs, whose commands are run as a reader would run them, in order.

A `yaml` block is what the reader adds to the config, which the service then reads by itself. In a `console` block,
what follows `$ ` is run by bash, with its continued lines, and the lines after it are what it prints: `...` stands for
any lines. A comment above the block, `<!-- varies: PATTERN -->`, says what differs from run to run; of any other number
below 1, a score, the second decimal may differ, as CPUs do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

START = "make run 2>service.log &"
"""The first step of each guide."""
NOTHING = r"(?!)"
_BLOCK = re.compile(r"(?:^<!-- varies: (.*?) -->\n\n?)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SCORE = re.compile(r"\b0\.\d+\b")
MAX_SCORE_DIFFERENCE = 0.02


@dataclass(frozen=True)
class Edit:
    """Adds these keys to the config."""

    keys: dict[str, Any]


@dataclass(frozen=True)
class Command:
    """A typed command, its output, and a pattern of what varies in that."""

    typed: str
    prints: tuple[str, ...] = ()
    varies: str = NOTHING


Step = Edit | Command


def steps(page: Path) -> list[Step]:
    """The steps of a guide, in order."""
    blocks = _BLOCK.findall(page.read_text("utf-8"))
    found: list[Step] = []
    for varies, kind, text in blocks:
        assert kind in ("yaml", "console"), f"{page.name}: nobody can try a block of {kind}"
        found += [Edit(yaml.safe_load(text))] if kind == "yaml" else commands(text, varies or NOTHING)
    return found


def commands(text: str, varies: str) -> Iterator[Command]:
    """Yield the commands of a block: one continues after a backslash, and up to the end of a here-document."""
    lines = text.splitlines()
    while lines:
        first = lines.pop(0)
        assert first.startswith("$ "), f"output of nothing: {first!r}"
        typed = [first[2:]]
        while typed[-1].endswith("\\"):
            typed.append(lines.pop(0))
        if here := re.search(r"<<'(\w+)'", typed[-1]):
            while typed[-1] != here[1]:
                typed.append(lines.pop(0))
        prints = []
        while lines and not lines[0].startswith("$ "):
            prints.append(lines.pop(0))
        yield Command("\n".join(typed), tuple(line for line in prints if line), varies)


def merged(config: Any, added: Any) -> Any:
    """Return a config with keys added: entries of lists are matched by their `name`; any other value is replaced."""
    if isinstance(config, dict) and isinstance(added, dict):
        return config | {key: merged(config.get(key), value) for key, value in added.items()}
    if isinstance(added, list) and all(isinstance(one, dict) and "name" in one for one in added):
        by_name = {one["name"]: one for one in config or ()}
        return list((by_name | {one["name"]: merged(by_name.get(one["name"]), one) for one in added}).values())
    return added


def difference(step: Command, printed: str) -> str | None:
    """Return the difference of a command's output from the guide, or None."""
    lines = [line for line in printed.splitlines() if line.strip()]
    position, free = 0, False
    for wanted in step.prints:
        if wanted == "...":
            free = True
            continue
        rest = lines[position:] if free else lines[position : position + 1]
        found = next((index for index, line in enumerate(rest) if alike(wanted, line, step.varies)), None)
        if found is None:
            return f"no line {wanted!r} in\n{printed}"
        position += found + 1
        free = False
    return None if free or position == len(lines) else f"more than the guide says:\n{printed}"


def alike(wanted: str, line: str, varies: str) -> bool:
    """Return whether two lines are the same, but for white space, what varies, and a little of a score."""
    words, others = (re.sub(varies, "~", text).split() for text in (wanted, line))
    return len(words) == len(others) and all(map(_same, words, others))


def _same(word: str, other: str) -> bool:
    return _SCORE.sub("~", word) == _SCORE.sub("~", other) and all(
        abs(float(one) - float(two)) <= MAX_SCORE_DIFFERENCE
        for one, two in zip(_SCORE.findall(word), _SCORE.findall(other), strict=True)
    )
