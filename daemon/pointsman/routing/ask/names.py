"""Tell the role of a part of a message from the name of its tag, label or heading; pure."""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from pointsman.config.routing import MAX_NAME_CHARACTERS, name_in
from pointsman.routing.ask import words

_PATH = re.compile(r"[/@]|.\.")
_ASIDE = re.compile(r"\([^()]{0,60}\)")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# Letters with the accents and vowel signs that are characters of their own.
_FOREIGN = re.compile(r"(?:[^\W\d_]|[\u0300-\u036f\u0900-\u0dff])+")


class PartRole(enum.Enum):
    """The role of a part of a message."""

    ASK = "ask"
    USER = "user"
    """A turn of a transcript in which the person speaks."""
    ANSWER = "answer"
    """A turn of the model, or the place of its answer."""
    OTHER = "other"
    """Material, or text from a harness or an application."""
    FREE = "free"
    """Text outside every tag and label."""


MATERIAL = (PartRole.OTHER, PartRole.ANSWER)
"""Roles that are never a person's ask."""


class RankedRole(NamedTuple):
    """The role of a name; among several asks, the one of the highest rank counts."""

    role: PartRole
    rank: int = 0


OTHER = RankedRole(PartRole.OTHER)
GUESS = RankedRole(PartRole.ASK, -1)
"""The name of text that asks under no known name: the ask if nothing else is."""
_STRIP, _TAKE = RankedRole(PartRole.OTHER, 5), RankedRole(PartRole.ASK, 5)
_EXACT = {
    **dict.fromkeys(words.EXACT, OTHER),
    "q": RankedRole(PartRole.ASK, 3),
    "a": RankedRole(PartRole.ANSWER),
    "arguments": RankedRole(PartRole.ASK, 0),
    "original_requirements": RankedRole(PartRole.ASK, 2),
}
_RANKS = {word: rank for rank, listed in words.ASKS.items() for word in listed}
_SOURCES = ("from", "by")
_WITHOUT_ROLE = words.LINK_WORDS | words.USERS
_SAYS = ("said", "says", "wrote", "writes")
_ABOUT, _ON = ("for", "about"), ("on", "to", "in", "with")
_LAST_WORDS = frozenset(_SAYS).union(
    _RANKS, words.OTHERS, words.ANSWERS, words.USERS, words.LINK_WORDS, [name.rpartition("_")[2] for name in _EXACT]
)
_NEVER, _ODD = frozenset('"{}<>=|$'), frozenset('"{}<>=|$()/@.')
_LAST = re.compile(r"([A-Z]+|[A-Z]?[a-z]+)[^A-Za-z]*\Z")
# A longer word is not a known one.
MAX_WORD_CHARACTERS = 24


NameOf = Callable[[str, bool], RankedRole | None]
"""A function that returns the role of a name, as `name_of` does."""


@functools.lru_cache(1024)
def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case, in `snake_case`, `camelCase` or plain text."""
    plain = _ASIDE.sub("", name)
    parts = [part for part in plain[-MAX_NAME_CHARACTERS:].split(" ") if not _PATH.search(part)]
    words_found = (_WORDS if plain.isascii() else _FOREIGN).findall(" ".join(parts))
    return tuple([word.lower() for word in words_found])


def may_name(words_before: str) -> bool:
    """Return cheaply whether text before a colon may end with a name, by its last word: most does not."""
    last = words_before[-MAX_WORD_CHARACTERS:].rpartition(" ")[2]
    if not (last.isascii() and last.isalpha() and last[1:].islower()):  # most is
        if not last.isascii() or not _ODD.isdisjoint(last):
            return _NEVER.isdisjoint(last)
        found = _LAST.search(last)
        if found is None:
            return True
        last = found[1]
    return last.lower() in _LAST_WORDS or " from " in words_before or " by " in words_before


@functools.lru_cache(4096)
def name_of(name: str, free: bool) -> RankedRole | None:
    """Return the role of a name, or None if its words do not tell it.

    `free`: the name is free text, such as the words before a colon, so an unknown word ends the search.
    """
    found = words_of(name)
    if free:
        found = _before_source(found)
        if _is_about(found):
            return OTHER  # "Documents for your question"
    if found and found[-1] in _SAYS:
        found = found[:-1]
    exact = _EXACT.get("_".join(found))
    return exact or _by_last_words(found, name, free=free)


def _before_source(found: tuple[str, ...]) -> tuple[str, ...]:
    return next((found[:index] for index, word in enumerate(found) if index and word in _SOURCES), found)


def _by_last_words(found: tuple[str, ...], name: str, *, free: bool) -> RankedRole | None:
    """Return the role that the last known word gives, if only words without a role follow it."""
    for word in reversed(found):
        known = _by_word(word, found)
        if known is not None:
            return _of_several(known, name) if free else known
        if word in words.ANSWERS or (free and word not in _WITHOUT_ROLE):
            return None
    return None


def _of_several(known: RankedRole, name: str) -> RankedRole:
    """Return the role of a turn for an ask with a number: "Message 2"."""
    several = known.role is PartRole.ASK and any(map(str.isdigit, name))
    return known._replace(role=PartRole.USER) if several else known


def _is_about(found: Sequence[str]) -> bool:
    """Return whether a name is of material about something: "Comments on the issue", but not "We work on the issue"."""
    said = not words.PERSONAL.isdisjoint(found)
    heads = [word for last, word in pairwise(found) if last in words.OTHERS]
    return any(word in _ABOUT or (word in _ON and not said) for word in heads)


def _by_word(word: str, found: tuple[str, ...]) -> RankedRole | None:
    """Return the role that a word gives to a name."""
    rank = _RANKS.get(word)
    if rank is not None:
        return RankedRole(PartRole.ASK, rank + (rank < 2 and not words.USERS.isdisjoint(found)))
    if word in words.OTHERS:
        return OTHER
    if word in words.ANSWERS and word == found[-1]:
        return OTHER if len(found) > 3 else RankedRole(PartRole.ANSWER)
    if word in words.USERS and len(found) <= 2:
        return RankedRole(PartRole.USER, 2)
    return _by_part(word)


def _by_part(word: str) -> RankedRole | None:
    """Return the role that a part of a word gives, in scripts without spaces."""
    if any(part in word for part in words.ASKS_INSIDE):
        return RankedRole(PartRole.ASK, 3)
    return OTHER if any(part in word for part in words.OTHERS_INSIDE) else None


def with_patterns(strip: Sequence[str], take: Sequence[str]) -> NameOf:
    """Return `name_of` with patterns before it; of several matches, those of `take` count."""
    patterns = [(_pieces(pattern), name) for listed, name in ((take, _TAKE), (strip, _STRIP)) for pattern in listed]

    @functools.lru_cache(4096)
    def found(name: str, free: bool) -> RankedRole | None:
        plain = name[-MAX_NAME_CHARACTERS:].strip().lower()
        return next((known for pieces, known in patterns if _matches(pieces, plain)), None) or name_of(name, free)

    return found


def _pieces(pattern: str) -> list[str]:
    return (name_in(pattern) or "").lower().split("*")


def _matches(pieces: list[str], name: str) -> bool:
    """Return whether a name consists of these pieces, with anything between; each is searched for once."""
    if len(pieces) == 1:
        return [name] == pieces
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
