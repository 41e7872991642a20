"""Define the request formats that are routed."""

from __future__ import annotations

import msgspec

from pointsman.long_body import Body
from pointsman.routing.body import BodyFields, given
from pointsman.routing.edits import changed, edited
from pointsman.routing.formats.chat import ChatFormat
from pointsman.routing.formats.completions import CompletionsFormat
from pointsman.routing.formats.format import TOP_LEVEL, Format, ParsedRequest
from pointsman.routing.formats.messages import MessagesFormat
from pointsman.routing.formats.responses import ResponsesFormat

CHAT, COMPLETIONS, RESPONSES, MESSAGES = ChatFormat(), CompletionsFormat(), ResponsesFormat(), MessagesFormat()
FORMATS = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)

__all__ = [
    "CHAT",
    "COMPLETIONS",
    "FORMATS",
    "MESSAGES",
    "RESPONSES",
    "TOP_LEVEL",
    "Format",
    "ParsedRequest",
    "format_of",
    "with_model",
]


def format_of(fields: BodyFields) -> Format:
    """Return the format of a body by its fields, if the path does not tell the format."""
    if fields.get("prompt") is not None:
        return COMPLETIONS
    if given(fields.get("system")):
        return MESSAGES
    return CHAT if fields.get("input") is None else RESPONSES


def with_model(fields: BodyFields, model: str) -> Body:
    """Return the body with another `model`."""
    return edited(fields, (changed(fields, "model", (msgspec.json.encode(model),)),)).body
