"""A guide of the docs, whose commands are run as a reader would run them, in order.

A `yaml` block is what the reader adds to the config, which the service then reads by itself. In a `console` block,
what follows `$ ` is run by bash, with its continued lines, and the lines after it are what it prints: with other
numbers, and `...` for any lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Edit:
    """Adds these keys to the config."""

    keys: dict[str, Any]


@dataclass(frozen=True)
class Command:
    """A typed command, and its output."""

    typed: str
    prints: tuple[str, ...]


Step = Edit | Command


def steps(page: Path) -> list[Step]:
    """The steps of a guide, in order."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    found: list[Step] = []
    for kind, text in blocks:
        assert kind in ("yaml", "console"), f"{page.name}: nobody can try a block of {kind}"
        found += [Edit(yaml.safe_load(text))] if kind == "yaml" else commands(text)
    return found


def commands(text: str) -> Iterator[Command]:
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
        yield Command("\n".join(typed), tuple(line for line in prints if line))


def merged(config: Any, added: Any) -> Any:
    """Return a config with keys added: entries of lists are matched by their `name`; any other value is replaced."""
    if isinstance(config, dict) and isinstance(added, dict):
        return config | {key: merged(config.get(key), value) for key, value in added.items()}
    if isinstance(added, list) and all(isinstance(one, dict) and "name" in one for one in added):
        by_name = {one["name"]: one for one in config or ()}
        return list((by_name | {one["name"]: merged(by_name.get(one["name"]), one) for one in added}).values())
    return added


def difference(expected: tuple[str, ...], printed: str) -> str | None:
    """Return the difference of a command's output from the guide, or None."""
    lines = [shape(line) for line in printed.splitlines() if line.strip()]
    position, free = 0, False
    for wanted in expected:
        if wanted == "...":
            free = True
            continue
        rest = lines[position:] if free else lines[position : position + 1]
        if shape(wanted) not in rest:
            return f"no line {wanted!r} in\n{printed}"
        position += rest.index(shape(wanted)) + 1
        free = False
    return None if free or position == len(lines) else f"more than the guide says:\n{printed}"


def shape(line: str) -> str:
    """A line with all numbers and beginnings of hashes alike, and all white space; on a host of one core, too."""
    alike = re.sub(r"\b[0-9a-f]{12}\b|\d[\d.,]*", "0", line).replace("0 cores", "0 core")
    return " ".join(alike.split())
