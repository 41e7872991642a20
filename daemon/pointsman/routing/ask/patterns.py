"""Names of tags, labels and headings that the config adds to the built-in ones; pure, in linear time."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from pointsman.config.patterns import name_in
from pointsman.routing.ask.names import LONGEST_NAME, Name, NameOf, Role, name_of

_STRIP, _TAKE = Name(Role.OTHER), Name(Role.ASK, 5)


def with_patterns(strip: Sequence[str], take: Sequence[str]) -> NameOf:
    """Return `name_of` with patterns before it; of several that match, those of `take` count."""
    patterns = [(_pieces(pattern), name) for listed, name in ((take, _TAKE), (strip, _STRIP)) for pattern in listed]

    @functools.lru_cache(4096)
    def found(name: str, free: bool) -> Name | None:
        plain = name[-LONGEST_NAME:].strip().lower()
        return next((known for pieces, known in patterns if _matches(pieces, plain)), None) or name_of(name, free)

    return found


def _pieces(pattern: str) -> list[str]:
    return (name_in(pattern) or "").lower().split("*")


def _matches(pieces: list[str], name: str) -> bool:
    """Return whether a name is these pieces, with anything between them; each is looked for once, from the left."""
    if len(pieces) == 1:
        return name == pieces[0]
    first, *middle, last = pieces
    if not name.startswith(first) or not name[len(first) :].endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for piece in middle:
        at = name.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True
