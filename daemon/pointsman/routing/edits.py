"""Edits to a body, as values, and how they are spliced into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from pointsman.routing.body import Fields, span_of
from pointsman.routing.json_scan import SPACES


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A setting of a model's reasoning; `effort` is None when reasoning is off."""

    type: Literal["chat_template_kwargs", "reasoning_effort"]
    parameter: str
    effort: str | None

    @property
    def on(self) -> bool:
        """Return whether reasoning is turned on."""
        return self.effort is not None


@dataclass(frozen=True, slots=True)
class SystemPrompt:
    """A category's system prompt, which replaces the client's or is inserted before it."""

    text: str
    mode: Literal["replace", "insert"]


@dataclass(frozen=True, slots=True)
class Edits:
    """All edits to one body."""

    model: str | None = None
    reasoning: Reasoning | None = None
    system_prompt: SystemPrompt | None = None


PROMPT_FIELDS = frozenset({"messages", "system", "instructions"})
"""The fields that hold a system prompt, in all request formats."""

Piece = bytes | memoryview
Pieces = tuple[Piece, ...]
"""JSON in pieces, most of them views of a body."""


class Change(msgspec.Struct, frozen=True):
    """A new value of a top-level field; `old` is None if the client sent none."""

    field: str
    old: msgspec.Raw | None
    new: Pieces


class Edited(msgspec.Struct, frozen=True):
    """The body to send, and the top-level fields that were changed.

    `reasoning`: whether the body turns the model's reasoning on or off, where that was to be set; None if it does not.
    """

    body: bytes
    changes: tuple[Change, ...] = ()
    reasoning: bool | None = None

    @property
    def changed(self) -> tuple[str, ...]:
        """Return the names of the fields that were changed."""
        return tuple([change.field for change in self.changes])

    @property
    def prompted(self) -> bool:
        """Return whether the system prompt was changed."""
        return any(change.field in PROMPT_FIELDS for change in self.changes)


def spliced(fields: Fields, changes: tuple[Change, ...]) -> bytes:
    """Return the body with these changes, and every other byte as it was; new fields come first."""
    data, shown = fields.data, memoryview(fields.data)
    at = data.index(b"{") + 1
    added: list[Piece] = []
    for change in changes:
        if change.old is None:
            added += [b"," if added else b"", b"%b:" % msgspec.json.encode(change.field), *change.new]
    pieces: list[Piece] = [shown[:at], *added]
    if added and not is_empty(shown[at - 1 :]):
        pieces.append(b",")
    replaced = [(span_of(data, change.old), change.new) for change in changes if change.old is not None]
    for span, new in sorted(replaced, key=lambda item: item[0]):
        pieces += [shown[at : span.start], *new]
        at = span.end
    pieces.append(shown[at:])
    return b"".join(pieces)


def is_empty(container: memoryview) -> bool:
    """Return whether a JSON array or object has no element; it need not end with its closing bracket."""
    begin = bytes(container[1:65]).lstrip(SPACES)
    return (begin or bytes(container[1:]).lstrip(SPACES))[:1] in (b"]", b"}")
