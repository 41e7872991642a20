"""Find the ask in a message that is one JSON value; pure, bounded."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from pointsman.config.routing import MAX_NAME_CHARACTERS
from pointsman.routing.ask.forms import looks_asked
from pointsman.routing.ask.names import NameOf, PartRole, words_of

# A longer message is not a form rendered to JSON. Reading this takes at most half a millisecond.
MAX_JSON_CHARACTERS = 32 * 1024
_MAX_LEVELS = 10
_MAX_ITEMS = 100
# Names of a member without a meaning: its role is that of the object around it.
PLAIN = frozenset(["text", "content", "body", "value", "data", "parts", "raw", "plain"])
# Ranks below all meaningful names: the value only looks like an ask, despite its name or without one.
_MATERIAL, _GUESS = -2, -1
_TURN_RANK = 2
_SPEAKERS = frozenset(["role", "speaker", "author", "sender", "from", "type", "participant"])
_BEGIN = re.compile(r"^[\[{]", re.MULTILINE)


def ask_in(text: str, name_of: NameOf) -> str | None:
    """Return the text of the member whose name tells the ask, or of the only one that asks; None if not JSON.

    Among several, the first of the highest rank counts.
    """
    encoded = _json_in(text.strip())
    if len(encoded) > MAX_JSON_CHARACTERS or not encoded.startswith(("{", "[")):
        return None
    try:
        value = msgspec.json.decode(encoded)
    except (msgspec.DecodeError, RecursionError):
        return None
    found = _asks(value, name_of, None, 0)
    best = max([rank for rank, _ in found], default=_GUESS)
    asks = [ask for rank, ask in found if rank == best]
    return asks[0] if asks and (best >= 0 or len(asks) == 1) else None


def _json_in(plain: str) -> str:
    """Return possible JSON: a whole text or its end, with or without a fence, after words that do not ask."""
    if plain.startswith(("{", "[")):
        return plain
    if plain.endswith("```"):
        lead, _, fenced = plain[:-3].partition("```")
        encoded = fenced.removeprefix("json").strip()
    elif plain.endswith(("}", "]")) and (begin := _BEGIN.search(plain)) is not None:
        lead, encoded = plain[: begin.start()], plain[begin.start() :]
    else:
        return ""
    return "" if looks_asked(lead) else encoded


def _asks(value: Any, name_of: NameOf, rank: int | None, depth: int) -> list[tuple[int, str]]:
    """Return the asks with their ranks; `rank` is that of the name above, or None if the name tells nothing."""
    if isinstance(value, str):
        return _said(value.strip(), rank)
    if depth > _MAX_LEVELS or not isinstance(value, list | dict):
        return []
    members = _items(value, name_of, rank) if isinstance(value, list) else _members(value, name_of, rank)
    return [ask for item, above in members for ask in _asks(item, name_of, above, depth + 1)]


def _items(value: list[Any], name_of: NameOf, rank: int | None) -> list[tuple[Any, int | None]]:
    """Return the items of a list that may contain the ask: the user's last turn, or the last of the named texts."""
    roles = [_speaker(item, name_of) for item in value[-_MAX_ITEMS:]]
    if PartRole.USER in roles:
        turn = value[-_MAX_ITEMS:][len(roles) - 1 - roles[::-1].index(PartRole.USER)]
        return [(turn, _TURN_RANK)]
    last = rank is not None and bool(value) and isinstance(value[-1], str)
    return [(item, rank) for item in (value[-1:] if last else value[:_MAX_ITEMS])]


def _speaker(value: Any, name_of: NameOf, depth: int = 0) -> PartRole | None:
    """Return the speaker of an object, by the member that names the speaker."""
    if not isinstance(value, dict) or depth > _MAX_LEVELS:
        return None
    for key in _SPEAKERS.intersection(value):
        member = value[key]
        named = member if isinstance(member, str) else _speaker(member, name_of, depth + 1)
        if isinstance(named, str) and (name := name_of(named[-MAX_NAME_CHARACTERS:], False)) is not None:
            return name.role
        if isinstance(named, PartRole):
            return named
    return None


def _members(value: dict[str, Any], name_of: NameOf, rank: int | None) -> list[tuple[Any, int | None]]:
    """Return the members of an object that may have the ask, each with the rank of its name."""
    found: list[tuple[Any, int | None]] = []
    for key, item in list(value.items())[:_MAX_ITEMS]:
        end = key[-2 * MAX_NAME_CHARACTERS :]  # names are remembered
        name = name_of(end, False)
        if PLAIN.issuperset(words_of(end)):
            found.append((item, rank))
        elif name is not None and name.role is PartRole.ASK:
            found.append((item, name.rank))
        elif name is not None and name.role is PartRole.OTHER:
            found.append((item, _MATERIAL))
        elif name is None or not isinstance(item, str):
            found.append((item, None))
    return found


def _said(text: str, rank: int | None) -> list[tuple[int, str]]:
    rank = _GUESS if rank is None else rank
    return [(rank, text)] if " " in text and (rank >= 0 or looks_asked(text)) else []
