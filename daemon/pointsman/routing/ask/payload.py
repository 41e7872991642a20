"""Find the ask in a message that is one JSON value; pure, bounded."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from pointsman.routing.ask.forms import looks_asked
from pointsman.routing.ask.names import LONGEST_NAME, NameOf, Role, words_of

# A longer message is no form that was rendered to JSON. Reading this takes half a millisecond at worst.
LONGEST = 32 * 1024
_DEEPEST = 10
_MOST = 100
# Names of a member that say nothing: it is what the object around it is.
PLAIN = frozenset(["text", "content", "body", "value", "data", "parts", "raw", "plain"])
# Below all names that say what a member is: it only looks like an ask, in spite of its name or without one.
_MATERIAL, _GUESS = -2, -1
_TURN_RANK = 2
_SPEAKERS = frozenset(["role", "speaker", "author", "sender", "from", "type", "participant"])
_BEGIN = re.compile(r"^[\[{]", re.MULTILINE)


def ask_in(text: str, name_of: NameOf) -> str | None:
    """Return the text of the member whose name says that it has the ask, or of the only one that asks; None if no JSON.

    Of several, the highest rank counts, and of these the first.
    """
    encoded = _json_in(text.strip())
    if len(encoded) > LONGEST or not encoded.startswith(("{", "[")):
        return None
    try:
        value = msgspec.json.decode(encoded)
    except (msgspec.DecodeError, RecursionError):
        return None
    found = _asks(value, name_of, None, 0)
    best = max((rank for rank, _ in found), default=None)
    asks = [ask for rank, ask in found if rank == best]
    return None if best is None or (best < 0 and len(asks) > 1) else asks[0]


def _json_in(plain: str) -> str:
    """Return what may be JSON: a whole text, or what ends it, in a fence or not, behind words that do not ask."""
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
    """Return the asks with their ranks; `rank` is that of the name above, None if it tells nothing."""
    if isinstance(value, str):
        return _said(value.strip(), rank)
    if depth > _DEEPEST or not isinstance(value, list | dict):
        return []
    members = _items(value, name_of, rank) if isinstance(value, list) else _members(value, name_of, rank)
    return [ask for item, above in members for ask in _asks(item, name_of, above, depth + 1)]


def _items(value: list[Any], name_of: NameOf, rank: int | None) -> list[tuple[Any, int | None]]:
    """Return the items of a list that may have the ask: of turns the user's last, of texts with a name the last."""
    roles = [_speaker(item, name_of) for item in value[-_MOST:]]
    if Role.USER in roles:
        turn = value[-_MOST:][len(roles) - 1 - roles[::-1].index(Role.USER)]
        said = {key: item for key, item in turn.items() if PLAIN.issuperset(words_of(key[-2 * LONGEST_NAME :]))}
        return [(said or turn, _TURN_RANK)]
    last = rank is not None and bool(value) and isinstance(value[-1], str)
    return [(item, rank) for item in (value[-1:] if last else value[:_MOST])]


def _speaker(value: Any, name_of: NameOf, depth: int = 0) -> Role | None:
    """Return whose turn an object is, by the member that names its speaker."""
    if not isinstance(value, dict) or depth > _DEEPEST:
        return None
    for key in _SPEAKERS.intersection(value):
        member = value[key]
        named = member if isinstance(member, str) else _speaker(member, name_of, depth + 1)
        role = named if isinstance(named, Role) else None
        if isinstance(named, str) and (name := name_of(named[-LONGEST_NAME:], False)) is not None:
            role = name.role
        if role is not None:
            return role
    return None


def _members(value: dict[str, Any], name_of: NameOf, rank: int | None) -> list[tuple[Any, int | None]]:
    """Return the members of an object that may have the ask, each with the rank of its name."""
    found: list[tuple[Any, int | None]] = []
    for key, item in list(value.items())[:_MOST]:
        end = key[-2 * LONGEST_NAME :]  # names are remembered
        name = name_of(end, False)
        if rank == _MATERIAL or PLAIN.issuperset(words_of(end)):
            found.append((item, rank))
        elif name is not None and name.role is Role.ASK:
            found.append((item, name.rank))
        elif name is not None and name.role is Role.OTHER:
            found.append((item, _MATERIAL))
        elif name is None or name.role is Role.USER or not isinstance(item, str):
            found.append((item, None))
    return found


def _said(text: str, rank: int | None) -> list[tuple[int, str]]:
    rank = _GUESS if rank is None else rank
    return [(rank, text)] if " " in text and (rank >= 0 or looks_asked(text)) else []
