"""Base class of the request formats: each reads the text and conversation, and makes the edits. Pure functions."""

from __future__ import annotations

import abc
from typing import Any

import msgspec

from pointsman.routing.body import OBJECT, decode, fields_of, given, model_in
from pointsman.routing.conversation import Conversation
from pointsman.routing.edits import Edited, Edits, Reasoning, SystemPrompt

Fields = dict[str, msgspec.Raw]
"""The top-level fields of a body."""
Changes = dict[str, Any]
"""New values of top-level fields."""

_PROMPT: msgspec.json.Decoder[Any] = msgspec.json.Decoder(str | list[msgspec.Raw] | None)


class ParsedRequest(msgspec.Struct, frozen=True):
    """A parsed body: `model` is None if the client named none; `text` is what the classifier reads."""

    format: Format
    body: bytes
    fields: Fields
    model: str | None
    text: str
    conversation: Conversation

    def apply(self, edits: Edits) -> Edited:
        """Return the body with the edits that its format supports; the same bytes if there are none."""
        changes: Changes = {}
        if edits.model is not None and edits.model != self.model:
            changes["model"] = edits.model
        if edits.reasoning is not None:
            changes |= self.format.reasoning_changes(self.fields, edits.reasoning)
        if edits.system_prompt is not None:
            changes |= self.format.system_prompt_changes(self.fields, edits.system_prompt)
        if not changes:
            return Edited(self.body, ())
        return Edited(msgspec.json.encode(self.fields | changes), tuple(changes))


class Format(abc.ABC):
    """One request format; `path` is its route."""

    path: str

    def parse(self, body: bytes) -> ParsedRequest:
        """Parse a body; raises RequestError (400) if it is not a JSON object or `model` is not a string.

        Validating the messages is left to vLLM: a body without usable messages parses, with an empty text.
        """
        fields = fields_of(body)
        model = model_in(fields.get("model"))
        text, conversation = self.read(fields)
        return ParsedRequest(format=self, body=body, fields=fields, model=model, text=text, conversation=conversation)

    @abc.abstractmethod
    def read(self, fields: Fields) -> tuple[str, Conversation]:
        """Return the text to classify and its conversation."""

    def reasoning_changes(self, fields: Fields, reasoning: Reasoning) -> Changes:
        """Return the changes that set reasoning; a value set by the client is kept."""
        if reasoning.type == "chat_template_kwargs":
            on = reasoning.effort is not None
            return set_inside(fields, "chat_template_kwargs", reasoning.parameter, on)
        # An effort cannot be turned off, only omitted.
        return {} if reasoning.effort is None else self.effort_changes(fields, reasoning.parameter, reasoning.effort)

    def effort_changes(self, fields: Fields, parameter: str, effort: str) -> Changes:
        """Return the changes that set a reasoning effort; most formats have no field for it."""
        return {}

    @abc.abstractmethod
    def system_prompt_changes(self, fields: Fields, prompt: SystemPrompt) -> Changes:
        """Return the changes that set a system prompt."""


def set_inside(fields: Fields, field: str, key: str, value: Any) -> Changes:
    """Return a change that sets `key` in the object `field`, if the client has not set it."""
    raw = fields.get(field)
    inner: dict[str, msgspec.Raw] | None = decode(raw, None, OBJECT)
    if inner is None and given(raw):
        return {}  # not an object: vLLM reports it
    inner = inner or {}
    return {} if given(inner.get(key)) else {field: inner | {key: value}}


def combined(raw: msgspec.Raw | None, prompt: SystemPrompt) -> Any:
    """Return our system prompt, alone or before the client's, as a string or a list of content parts."""
    theirs = decode(raw, None, _PROMPT)
    if prompt.mode == "replace" or not theirs:
        return prompt.text
    if isinstance(theirs, str):
        return f"{prompt.text}\n\n{theirs}"
    return [{"type": "text", "text": f"{prompt.text}\n\n"}, *theirs]
