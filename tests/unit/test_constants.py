"""How constants that bound something are named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("daemon", "export", "training", "benchmarks", "tests", "packaging")
CONSTANTS = re.compile(r"^((?:_?[A-Z][A-Z0-9_]*, )*_?[A-Z][A-Z0-9_]*)(?:: [^=]+)? = ", re.MULTILINE)
SUPERLATIVES = re.compile("MOST|LEAST|LONGEST|SHORTEST|LARGEST|SMALLEST|GREATEST|FEWEST|DEEPEST|WIDEST")
SHORTENED = {"S", "SECS", "CHARS"}


def constants() -> Iterator[tuple[str, list[str]]]:
    """Yield each constant of a module with the words of its name."""
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            for found in CONSTANTS.findall(path.read_text("utf-8")):
                for name in found.split(", "):
                    yield f"{path.relative_to(ROOT)}: {name}", name.strip("_").split("_")


def test_a_bound_begins_with_max_or_min() -> None:
    assert [place for place, words in constants() if SUPERLATIVES.fullmatch(words[0])] == []


def test_a_bound_says_what_it_counts() -> None:
    assert [place for place, words in constants() if words in (["MAX"], ["MIN"])] == []


def test_seconds_and_characters_are_not_shortened() -> None:
    assert [place for place, words in constants() if len(words) > 1 and words[-1] in SHORTENED] == []
