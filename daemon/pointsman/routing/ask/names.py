"""Tell the role of a part of a message from the name of its tag, label or heading; pure."""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Callable
from typing import NamedTuple

from pointsman.routing.ask import words

# More of a name says nothing further; only so many words of it are looked at.
LONGEST_NAME = 60
_MOST_WORDS = 8

_PATH = re.compile(r"[/@]|.\.")
_ASIDE = re.compile(r"\([^()]{0,60}\)")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")


class Role(enum.Enum):
    """What a part of a message is."""

    ASK = "ask"
    USER = "user"
    """A turn of a transcript in which the person speaks."""
    ANSWER = "answer"
    """A turn of the model, or the place of its answer."""
    OTHER = "other"
    """Material, or what a harness or an application adds."""
    FREE = "free"
    """Text outside of every tag and label."""


class Name(NamedTuple):
    """The role of a name; of several asks the one of the highest rank counts."""

    role: Role
    rank: int = 0


OTHER = Name(Role.OTHER)
_EXACT = {
    **dict.fromkeys(words.EXACT, OTHER),
    "q": Name(Role.ASK, 3),
    "a": Name(Role.ANSWER),
    "original_requirements": Name(Role.ASK, 2),
}
_RANKS = {word: rank for rank, listed in words.ASKS.items() for word in listed}


NameOf = Callable[[str, bool], Name | None]
"""Returns the role of a name, as `name_of` does."""


def words_of(name: str) -> list[str]:
    """Return the words of a name in lower case, in `snake_case`, `camelCase` or plain text."""
    plain = _ASIDE.sub("", name[-2 * LONGEST_NAME :])
    parts = [part for part in plain[-LONGEST_NAME:].split(" ") if not _PATH.search(part)]
    return [word.lower() for word in _WORDS.findall(" ".join(parts))]


@functools.lru_cache(4096)
def name_of(name: str, free: bool) -> Name | None:
    """Return the role of a name, None if its words do not tell it.

    `free`: the name is free text, such as the words before a colon, so a word that is not known ends the search.
    """
    found = words_of(name)
    if free:
        found = next((found[:place] for place, word in enumerate(found) if place and word in ("from", "by")), found)
    if found and found[-1] in ("said", "says", "wrote"):
        found.pop()
    whole = "_".join(found)
    if whole in _EXACT:
        return _EXACT[whole]
    for word in found[: -_MOST_WORDS - 1 : -1]:
        known = _by_word(word, found)
        if known is not None and known.role is Role.ASK and free and any(char.isdigit() for char in name):
            return known._replace(role=Role.USER)  # one of several messages
        if known is not None:
            return known
        if word in words.ANSWERS or (free and word not in words.LINK_WORDS and word not in words.USERS):
            return None
    return None


def _by_word(word: str, found: list[str]) -> Name | None:
    """Return the role that a word gives to a name."""
    rank = _RANKS.get(word)
    if rank is not None:
        return Name(Role.ASK, rank + (rank < 2 and not words.USERS.isdisjoint(found)))
    if word in words.OTHERS:
        return OTHER
    if word in words.ANSWERS and word == found[-1]:
        old = len(found) > 3 or not words.OLD.isdisjoint(found)
        return OTHER if old else Name(Role.ANSWER)
    if word in words.USERS and len(found) <= 2:
        return Name(Role.USER, 2)
    if word.isascii():
        return None
    if any(part in word for part in words.ASKS_INSIDE):
        return Name(Role.ASK, 3)
    return OTHER if any(part in word for part in words.OTHERS_INSIDE) else None
