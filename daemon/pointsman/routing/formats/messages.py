"""Anthropic's messages."""

from __future__ import annotations

from pointsman.routing.edits import SystemPrompt, changed
from pointsman.routing.formats.format import Changes, Format, ParsedRequest, combined


class MessagesFormat(Format):
    path = "/v1/messages"
    system_field = "system"
    usage_in_stream = (("message", "usage"), ("usage",))

    def system_prompt_changes(self, request: ParsedRequest, prompt: SystemPrompt) -> Changes:
        return (changed(request.fields, "system", combined(request.fields.get("system"), prompt)),)
