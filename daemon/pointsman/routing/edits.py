"""Edits to a body, as values, and how they are spliced into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from pointsman.long_body import Body, EditedLongBody, Piece
from pointsman.routing.body import BodyFields
from pointsman.routing.json_scan import SPACES


@dataclass(frozen=True, slots=True)
class ReasoningEdit:
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
    reasoning: ReasoningEdit | None = None
    system_prompt: SystemPrompt | None = None


USAGE_FIELD = "stream_options"
"""The field by which a client asks for the usage of a stream."""

PRIORITY_FIELD = "priority"
"""The field with a request's priority in vLLM's queue."""

# A slice of a smaller body costs less than a view.
_COPIED_BYTES = 16 * 1024
# Joining a smaller body costs less than sending it in pieces.
_JOINED_BYTES = 128 * 1024

Pieces = tuple[Piece, ...]
"""JSON in pieces, some of them views of a body."""


class BodyEdit(msgspec.Struct, frozen=True, gc=False):
    """A replacement of the bytes from `start` to `end` of a body, in the value of a top-level field, by `new`.

    If the client has not sent the field, `new` is its value, and `start` and `end` are 0.
    """

    field: str
    new: Pieces
    start: int = 0
    end: int = 0


class EditedBody(msgspec.Struct, gc=False):
    """The body to send, the changes, and the names of the top-level fields that were `changed`.

    `reasoning`: whether the body turns the model's reasoning on or off, if the category sets reasoning; else None.
    `prompted`: the system prompt was changed.
    """

    body: Body
    changes: tuple[BodyEdit, ...] = ()
    changed: tuple[str, ...] = ()
    reasoning: bool | None = None
    prompted: bool = False

    @property
    def asks_usage(self) -> bool:
        """Return whether the service asked for the usage of a stream, which the client must not get."""
        return USAGE_FIELD in self.changed

    def drop_body(self) -> None:
        """Release everything that is or shows a part of a body that has been sent."""
        self.body, self.changes = b"", ()


def changed(fields: BodyFields, name: str, new: Pieces) -> BodyEdit:
    """Return the change that gives a field another value."""
    old = fields.get(name)
    return BodyEdit(name, new) if old is None else BodyEdit(name, new, *fields.span(name, old))


def edited(fields: BodyFields, changes: Sequence[BodyEdit]) -> EditedBody:
    """Return the body with these changes and its priority, and every other byte as it was; new fields come first."""
    if fields.priority is not None:
        changes = (*changes, changed(fields, PRIORITY_FIELD, (b"%d" % fields.priority,)))
    if not changes:
        return EditedBody(fields.body)
    data = fields.data
    shown: Piece = bytes(data) if len(data) <= _COPIED_BYTES else memoryview(data)
    inside: list[tuple[int, int, Pieces]] = []
    names: list[str] = []
    for change in changes:
        names.append(change.field)
        if change.end:
            inside.append((change.start, change.end, change.new))
    pieces: list[Piece] = []
    at = 0
    if len(inside) < len(names):
        at = data.find(b"{") + 1
        pieces.append(shown[:at])
        for change in changes:
            if not change.end:
                pieces += (b"," if len(pieces) > 1 else b"", msgspec.json.encode(change.field), b":", *change.new)
        if inside or not is_empty(shown[at - 1 :]):
            pieces.append(b",")
    inside.sort()
    for start, end, new in inside:
        pieces += (shown[at:start], *new)
        at = end
    pieces.append(shown[at:])
    body = EditedLongBody(pieces) if len(data) > _JOINED_BYTES else b"".join(pieces)
    return EditedBody(body, tuple(changes), tuple(names))


def with_model(fields: BodyFields, model: str) -> Body:
    """Return the body with another `model`."""
    return edited(fields, (changed(fields, "model", (msgspec.json.encode(model),)),)).body


def sides(fields: BodyFields, change: BodyEdit) -> tuple[Pieces | None, Pieces]:
    """Return the value of a changed field before (None if missing) and after the change."""
    old = fields.get(change.field) if change.end else None
    if old is None:
        return None, change.new
    (start, end), shown = fields.span(change.field, old), memoryview(fields.data)
    return (memoryview(old),), (shown[start : change.start], *change.new, shown[change.end : end])


def is_empty(container: Piece) -> bool:
    """Return whether a JSON array or object has no element; its closing bracket may be missing."""
    begin = bytes(container[1:65]).lstrip(SPACES)
    return (begin or bytes(container[1:]).lstrip(SPACES))[:1] in (b"]", b"}")
