"""Read the text files of prompts.

A line `[name]`, a name of letters, digits, `_` and blanks, begins a section, and every other line that is not blank is
one item of the section. Text before the first section documents the file.
"""

from __future__ import annotations

import re
from pathlib import Path

TEXTS = Path(__file__).with_name("texts")


def sections(name: str) -> dict[str, list[str]]:
    """Return the items of each section of the file `name` in `TEXTS`, both in the order of the file."""
    return parse((TEXTS / name).read_text(encoding="utf-8"))


def parse(text: str) -> dict[str, list[str]]:
    """Return the items of each section of `text`."""
    found: dict[str, list[str]] = {}
    items: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        heading = re.fullmatch(r"\[([\w ]+)\]", line)
        if heading:
            items = found.setdefault(heading[1], [])
        else:
            items.append(line)
    return found
