"""Anthropic's messages."""

from __future__ import annotations

from pointsman.routing.conversation import Conversation
from pointsman.routing.edits import SystemPrompt
from pointsman.routing.formats.format import Changes, Fields, Format, combined
from pointsman.routing.formats.message_list import read_messages


class Messages(Format):
    path = "/v1/messages"

    def read(self, fields: Fields) -> tuple[str, Conversation]:
        return read_messages(fields.get("messages"))

    def system_prompt_changes(self, fields: Fields, prompt: SystemPrompt) -> Changes:
        return {"system": combined(fields.get("system"), prompt)}
