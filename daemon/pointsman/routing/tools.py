"""Tell whether a request carries tools, in any of the formats; pure."""

from __future__ import annotations

from typing import Any

from msgspec.json import Decoder

from pointsman.routing.body import BodyFields, Value, decode, given, kind
from pointsman.routing.edits import is_empty

# A choice names at most one tool.
_MAX_CHOICE_BYTES = 1024
_CHOICE: Decoder[Any] = Decoder()
_FIELDS = frozenset({"tools", "functions", "tool_choice"})


def carries_tools(fields: BodyFields) -> bool:
    """Return whether there are `tools` or `functions`, or a `tool_choice` of tools that the server has.

    `tool_choice: none` chooses none, as a string or in Anthropic's form.
    """
    if _FIELDS.isdisjoint(fields.values):
        return False
    return any(_filled(fields.get(name)) for name in ("tools", "functions")) or _chooses(fields.get("tool_choice"))


def _filled(value: Value | None) -> bool:
    if value is None or not given(value):
        return False
    return kind(value) not in (b"[", b"{") or not is_empty(memoryview(value))


def _chooses(value: Value | None) -> bool:
    if value is None or not given(value):
        return False
    choice = None if memoryview(value).nbytes > _MAX_CHOICE_BYTES else decode(value, None, _CHOICE)
    return (choice.get("type") if isinstance(choice, dict) else choice) != "none"
