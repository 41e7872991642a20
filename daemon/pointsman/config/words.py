"""Build parts of problem messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

Keys = tuple[str | int, ...]
"""A key path from the root: keys of mappings and indexes of lists."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


def show(keys: Keys) -> str:
    """Return a key path as text, such as `categories[1].name`; unusual names are quoted."""
    path = ""
    for key in keys:
        if isinstance(key, int):
            path += f"[{key}]"
        else:
            path += ("." if path else "") + (key if _PLAIN.fullmatch(key) else f'"{key}"')
    return path


def fold(name: str) -> str:
    """Normalize a name for comparing categories and labels: ignore case, `_` and `-`."""
    return " ".join(re.split(r"[\s_-]+", name.casefold().strip()))


def closest(word: str, names: Iterable[str]) -> str | None:
    """Return the name that was probably meant, or None."""
    by_fold = {fold(name): name for name in names if name}
    found = difflib.get_close_matches(fold(word), by_fold, n=1, cutoff=0.65)
    return by_fold[found[0]] if found else None


def listing(names: Iterable[str]) -> str:
    """Return `a, b, c`, or `none`."""
    return ", ".join(name for name in names if name) or "none"


def choose(word: str, names: Iterable[str]) -> str:
    """Return a fix for a name that is not one of `names`."""
    known = list(names)
    near = closest(word, known)
    return f"did you mean {near}?" if near else f"choose one of: {listing(known)}"
