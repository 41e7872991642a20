"""Find the ask in a message that is one JSON value; pure, bounded."""

from __future__ import annotations

from typing import Any

import msgspec

from pointsman.routing.ask.names import LONGEST_NAME, NameOf, Role

# A longer message is no form that was rendered to JSON. Reading this takes half a millisecond at worst.
LONGEST = 32 * 1024
_DEEPEST = 4
_MOST = 100


def ask_in(text: str, name_of: NameOf) -> str | None:
    """Return the text of the member whose name says that it has the ask; None without one, and if it is no JSON."""
    plain = text.strip()
    if len(plain) > LONGEST or plain[:1] not in "{[" or plain[-1:] not in "}]":
        return None
    try:
        value = msgspec.json.decode(plain)
    except (msgspec.DecodeError, RecursionError):
        return None
    found = _asks(value, name_of, 0)
    return max(found, key=lambda one: one[0])[1] if found else None


def _is_turn(value: Any) -> bool:
    return isinstance(value, dict) and "role" in value and "content" in value


def _asks(value: Any, name_of: NameOf, depth: int) -> list[tuple[int, str]]:
    """Return the asks with their ranks; a later one of the same rank does not replace an earlier one."""
    if depth > _DEEPEST:
        return []
    if isinstance(value, list):
        users = [item for item in value if isinstance(item, dict) and item.get("role") == "user"]
        if users and isinstance(users[-1].get("content"), str):
            return [(2, users[-1]["content"])]
        return [ask for item in value[:_MOST] for ask in _asks(item, name_of, depth + 1)]
    if not isinstance(value, dict):
        return []
    found: list[tuple[int, str]] = []
    for key, item in list(value.items())[:_MOST]:
        name = name_of(key[-2 * LONGEST_NAME :], False)  # names are remembered
        if isinstance(item, str):
            if name is not None and name.role is Role.ASK and item.strip() and " " in item.strip():
                found.append((name.rank, item))
        elif (
            name is None
            or name.role is not Role.OTHER
            or (isinstance(item, list) and _is_turn(item[0] if item else None))
        ):
            if (
                name is not None
                and name.role is Role.ASK
                and isinstance(item, list)
                and item
                and isinstance(item[-1], str)
            ):
                found.append((name.rank, item[-1]))
            found += _asks(item, name_of, depth + 1)
    return found
