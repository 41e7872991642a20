"""OpenAI's Responses API."""

from __future__ import annotations

from pointsman.routing.conversation import Conversation
from pointsman.routing.edits import SystemPrompt
from pointsman.routing.formats.format import Changes, Fields, Format, combined, set_inside
from pointsman.routing.formats.message_list import read_messages


class Responses(Format):
    path = "/v1/responses"

    def read(self, fields: Fields) -> tuple[str, Conversation]:
        return read_messages(fields.get("input"))

    def effort_changes(self, fields: Fields, parameter: str, effort: str) -> Changes:
        return set_inside(fields, "reasoning", "effort", effort)

    def system_prompt_changes(self, fields: Fields, prompt: SystemPrompt) -> Changes:
        return {"instructions": combined(fields.get("instructions"), prompt)}
