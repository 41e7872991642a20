"""Base class of the request formats: each reads the text, and makes the edits. Pure."""

from __future__ import annotations

import abc
from typing import Any

import msgspec
from msgspec.json import Decoder

from pointsman.long_body import Received
from pointsman.routing import json_scan, stream_usage
from pointsman.routing.ask import BUILTIN, NO_ASK, Ask, AskFinder, AskKind
from pointsman.routing.body import (
    FIELDS,
    BodyFields,
    Message,
    Value,
    decode,
    fields_at_once,
    given,
    kind,
    read_fields,
    view,
)
from pointsman.routing.edits import (
    BodyEdit,
    EditedBody,
    Edits,
    Pieces,
    ReasoningEdit,
    SystemPrompt,
    changed,
    edited,
    is_empty,
)
from pointsman.routing.formats.message_list import counted, known_ask, read_ask, read_messages, read_prompts
from pointsman.routing.json_scan import ByteSpan, JsonError
from pointsman.routing.prompt_text import MAX_PARTS, TooManyParts
from pointsman.routing.steps import Steps, finish
from pointsman.routing.tools import carries_tools

Changes = tuple[BodyEdit, ...]
JsonPath = tuple[str, ...]
"""The keys that lead to a value in a JSON text."""
TOP_LEVEL: tuple[JsonPath, ...] = (("usage",),)
"""The positions of the usage in a complete answer, in each format."""

_STRING = Decoder(str)
# The size of client settings into which another can be written; larger ones are not searched.
MAX_SETTINGS_BYTES = 64 * 1024

_FLAG = Decoder(bool)


class ParsedRequest(msgspec.Struct, frozen=True, gc=False):
    """A parsed body: `model` is None if the client named none; `ask` is the person's ask, in the message `asked`.

    `prompts` is the number of a completion's prompts that were read; the asks of all but the first are the ask's
    `others`. `messages` is None if the request has a plain prompt. `readable` is False if the request has more
    messages, or parts of messages, than routing reads; then there is no ask.
    """

    format: Format
    fields: BodyFields
    model: str | None
    ask: Ask = NO_ASK
    asked: Message | None = None
    messages: list[Message] | None = None
    readable: bool = True
    prompts: int = 1

    @property
    def text(self) -> str:
        """Return the text of the ask."""
        return self.ask.text

    @property
    def body(self) -> Received:
        """Return the bytes that the client sent."""
        return self.fields.body

    @property
    def tools(self) -> bool:
        """Return whether the request carries tools."""
        return carries_tools(self.fields)

    def apply(self, edits: Edits, *, counted: bool = False) -> EditedBody:
        """Return the body with the edits that its format supports; the same bytes if there are none.

        `counted`: tokens are compared, so vLLM is asked for the usage of a stream.
        """
        changes: Changes = ()
        reasoning: bool | None = None
        if edits.model is not None and edits.model != self.model:
            changes = (changed(self.fields, "model", (msgspec.json.encode(edits.model),)),)
        if edits.reasoning is not None:
            ours = self.format.reasoning_changes(self.fields, edits.reasoning)
            changes += ours
            reasoning = edits.reasoning.on if ours else self.format.own_reasoning(self.fields, edits.reasoning)
        if edits.system_prompt is not None:
            changes += self.format.system_prompt_changes(self, edits.system_prompt)
        if counted and self.format.path in stream_usage.PATHS:
            changes += stream_usage.asking(self.fields)
        return edited(self.fields, changes, reasoning)


class Format(abc.ABC):
    """One request format: `path` is its route, `prompt_field` has the messages or the prompt."""

    path: str
    prompt_field = "messages"
    system_field: str | None = None
    """The field of the system prompt, if that is not among the messages."""
    plain = False
    """The prompt field has no messages."""
    own_fields: tuple[str, ...] = ()
    """The top-level fields that are read in this format alone."""
    length_fields: tuple[str, ...] = ("max_tokens",)
    """The fields that limit the tokens of an answer."""
    prompts_fields: tuple[str, ...] = ()
    """The fields that may contain several prompts, each with its own answers."""
    usage_in_stream: tuple[JsonPath, ...] = TOP_LEVEL
    """The positions of the usage in the events of a stream."""

    def parse(self, body: bytes, finder: AskFinder = BUILTIN) -> ParsedRequest:
        """Parse a body without a pause, as `read_fields` and `read` do."""
        return finish(self.read(fields_at_once(body, FIELDS) or finish(read_fields(body)), finder))

    def known(self, fields: BodyFields, finder: AskFinder) -> ParsedRequest | None:
        """Return the result of `read` if the user's last message is remembered and no ask is stated."""
        messages = self._messages(fields)
        if messages is None or len(messages) > MAX_PARTS or finder.body_field in fields.values:
            return None
        found = known_ask(messages, self._system(fields), finder)
        return None if found is None else ParsedRequest(self, fields, fields.model, *found, messages)

    def read(self, fields: BodyFields, finder: AskFinder = BUILTIN, stated: str = "") -> Steps[ParsedRequest]:
        """Return the request; raises RequestError (400) if `model` is not a string.

        `stated` is the ask from the client's header. Validating the messages is left to vLLM: a body without usable
        messages parses, without an ask.
        """
        request = yield from self._read(fields, finder)
        if not stated and finder.body_field is not None:
            stated = decode(fields.get(finder.body_field), "", _STRING)
        if not stated or stated.isspace():
            return request
        return msgspec.structs.replace(request, ask=Ask(stated, AskKind.STATED), asked=None, prompts=1)

    def _read(self, fields: BodyFields, finder: AskFinder) -> Steps[ParsedRequest]:
        model, messages = fields.model, self._messages(fields)
        try:
            if messages is None:
                value = fields.get(self.prompt_field)
                messages = None if self.plain else (yield from read_messages(value))
                if messages is None:
                    ask, prompts = yield from read_prompts(value, finder)
                    return ParsedRequest(self, fields, model, ask, prompts=prompts)
            ask, asked = yield from read_ask(counted(messages), self._system(fields), finder)
        except TooManyParts:
            return ParsedRequest(self, fields, model, readable=False)
        return ParsedRequest(self, fields, model, ask, asked, messages)

    def _messages(self, fields: BodyFields) -> list[Message] | None:
        """Return the messages that were read with the fields, or None if this format has them elsewhere."""
        return fields.messages if self.prompt_field == "messages" else None

    def _system(self, fields: BodyFields) -> Value | None:
        return None if self.system_field is None else fields.get(self.system_field)

    def reasoning_changes(self, fields: BodyFields, reasoning: ReasoningEdit) -> Changes:
        """Return the changes that set reasoning; a value set by the client takes precedence."""
        if reasoning.type == "chat_template_kwargs":
            return set_inside(fields, "chat_template_kwargs", reasoning.parameter, reasoning.on)
        # An effort cannot be turned off, only omitted.
        return () if reasoning.effort is None else self.effort_changes(fields, reasoning.parameter, reasoning.effort)

    def effort_changes(self, fields: BodyFields, parameter: str, effort: str) -> Changes:
        """Return the changes that set a reasoning effort; most formats have no field for it."""
        return ()

    def own_reasoning(self, fields: BodyFields, reasoning: ReasoningEdit) -> bool | None:
        """Return whether the client itself turned reasoning on or off, or None."""
        if reasoning.type == "chat_template_kwargs":
            on: bool | None = decode(inside(fields, "chat_template_kwargs", reasoning.parameter), None, _FLAG)
            return on
        effort = decode(self.own_effort(fields, reasoning.parameter), None, _STRING)
        return None if effort is None else effort != "none"

    def own_effort(self, fields: BodyFields, parameter: str) -> Value | None:
        """Return the client's reasoning effort; most formats have no field for it."""
        return None

    @abc.abstractmethod
    def system_prompt_changes(self, request: ParsedRequest, prompt: SystemPrompt) -> Changes:
        """Return the changes that set a system prompt."""


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
    start, end = fields.span(raw)
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
