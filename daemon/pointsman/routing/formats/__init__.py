"""Define the request formats that are routed."""

from __future__ import annotations

from pointsman.routing.body import fields_of
from pointsman.routing.formats.chat import Chat
from pointsman.routing.formats.completions import Completions
from pointsman.routing.formats.format import Format, ParsedRequest
from pointsman.routing.formats.messages import Messages
from pointsman.routing.formats.responses import Responses

CHAT, COMPLETIONS, RESPONSES, MESSAGES = Chat(), Completions(), Responses(), Messages()
FORMATS = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)

__all__ = ["CHAT", "COMPLETIONS", "FORMATS", "MESSAGES", "RESPONSES", "Format", "ParsedRequest", "format_of"]


def format_of(body: bytes) -> Format:
    """Return the format of a body by its fields, where the path does not tell it; raises RequestError (400)."""
    fields = fields_of(body)
    if "prompt" in fields:
        return COMPLETIONS
    return RESPONSES if "input" in fields else CHAT
