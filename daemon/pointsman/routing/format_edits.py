"""Make the edits of a decision where the format of a request has them. Pure."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.json import Decoder

from pointsman.formats import PARAMETER, Format, JsonPath
from pointsman.routing import json_scan
from pointsman.routing.body import ABSENT, SYSTEM_ROLES, BodyFields, Message, Value, decode, given, kind, view
from pointsman.routing.edits import BodyEdit, Pieces, ReasoningEdit, SystemPrompt, changed, is_empty
from pointsman.routing.json_scan import ByteSpan, JsonError
from pointsman.routing.steps import finish

Changes = tuple[BodyEdit, ...]

# The size of client settings into which another can be written; larger ones are not searched.
MAX_SETTINGS_BYTES = 64 * 1024

_STRING, _FLAG = Decoder(str), Decoder(bool)


def reasoning_changes(form: Format, fields: BodyFields, reasoning: ReasoningEdit) -> Changes:
    """Return the changes that set reasoning; a value set by the client takes precedence."""
    keys = _reasoning_keys(form, reasoning)
    value = reasoning.on if reasoning.type == "chat_template_kwargs" else reasoning.effort
    # An effort cannot be turned off, only omitted.
    if not keys or value is None:
        return ()
    if len(keys) == 1:
        name = keys[0]
        return () if given(fields.get(name)) else (changed(fields, name, (msgspec.json.encode(value),)),)
    field, key = keys
    return set_inside(fields, field, key, value)


def own_reasoning(form: Format, fields: BodyFields, reasoning: ReasoningEdit) -> bool | None:
    """Return whether the client itself turned reasoning on or off, or None."""
    keys = _reasoning_keys(form, reasoning)
    if not keys:
        return None
    value = fields.get(keys[0]) if len(keys) == 1 else inside(fields, *keys)
    if reasoning.type == "chat_template_kwargs":
        on: bool | None = decode(value, None, _FLAG)
        return on
    effort = decode(value, None, _STRING)
    return None if effort is None else effort != "none"


def _reasoning_keys(form: Format, reasoning: ReasoningEdit) -> JsonPath:
    """Return the keys of a setting of reasoning; none if the format has no such setting."""
    if form.plain:
        return ()
    if reasoning.type == "chat_template_kwargs":
        return "chat_template_kwargs", reasoning.parameter
    return (reasoning.parameter,) if form.effort == (PARAMETER,) else form.effort


def system_prompt_changes(
    form: Format, fields: BodyFields, messages: list[Message] | None, prompt: SystemPrompt
) -> Changes:
    """Return the changes that set a system prompt."""
    if form.system_field is not None:
        return (changed(fields, form.system_field, combined(fields.get(form.system_field), prompt)),)
    if not messages:
        return ()
    first = messages[0]
    ours = first.role in SYSTEM_ROLES
    if ours and first.content is not ABSENT:
        return (BodyEdit("messages", combined(first.content, prompt), *fields.first_content_span(first)),)
    begin = fields.span("messages", fields.get("messages") or ABSENT)[0] + 1
    if not ours:
        message = msgspec.json.encode({"role": "system", "content": prompt.text})
        return (BodyEdit("messages", (message, b","), begin, begin),)
    after_brace = fields.data.find(b"{", begin) + 1
    return (BodyEdit("messages", (b'"content":', *combined(None, prompt), b","), after_brace, after_brace),)


def set_inside(fields: BodyFields, field: str, key: str, value: Any) -> Changes:
    """Return a change that sets `key` in the object `field`, if the client has not set it."""
    raw, setting = fields.get(field), msgspec.json.encode({key: value})
    if raw is None or not given(raw):
        return (changed(fields, field, (setting,)),)
    shown = memoryview(raw)
    if kind(raw) != b"{" or shown.nbytes > MAX_SETTINGS_BYTES:
        return ()  # vLLM reports a value that is not an object
    try:
        found = _member(shown, key)
    except JsonError:
        return ()
    start, end = fields.span(field, raw)
    if found is None:
        return (BodyEdit(field, (b"" if is_empty(shown) else b",", setting[1:-1]), end - 1, end - 1),)
    if given(view(shown, found)):
        return ()
    return (BodyEdit(field, (msgspec.json.encode(value),), start + found.start, start + found.end),)


def inside(fields: BodyFields, field: str, key: str) -> Value | None:
    """Return the value of `key` in the object `field`, or None."""
    raw = fields.get(field)
    if raw is None or kind(raw) != b"{" or memoryview(raw).nbytes > MAX_SETTINGS_BYTES:
        return None
    shown = memoryview(raw)
    try:
        found = _member(shown, key)
    except JsonError:
        return None
    return None if found is None else view(shown, found)


def _member(container: memoryview, key: str) -> ByteSpan | None:
    """Return the position of the value of `key` in an object; raises JsonError."""
    return (finish(json_scan.members(container, (key,))) or {}).get(key)


def combined(theirs: Value | None, prompt: SystemPrompt) -> Pieces:
    """Return our system prompt, alone or before the client's, as a string or a list of content parts."""
    if prompt.mode == "insert":
        shown = memoryview(b"" if theirs is None else theirs)
        if kind(theirs) == b'"' and shown.nbytes > 2:
            return msgspec.json.encode(f"{prompt.text}\n\n")[:-1], shown[1:]
        if kind(theirs) == b"[" and not is_empty(shown):
            part = msgspec.json.encode({"type": "text", "text": f"{prompt.text}\n\n"})
            return b"[", part, b",", shown[1:]
    return (msgspec.json.encode(prompt.text),)
