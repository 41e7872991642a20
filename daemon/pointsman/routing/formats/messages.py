"""Anthropic's messages."""

from __future__ import annotations

from pointsman.routing.edits import SystemPrompt
from pointsman.routing.formats.format import Changes, Format, ParsedRequest, combined


class Messages(Format):
    path = "/v1/messages"

    def system_prompt_changes(self, request: ParsedRequest, prompt: SystemPrompt) -> Changes:
        return {"system": combined(request.fields.get("system"), prompt)}
