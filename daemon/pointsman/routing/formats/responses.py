"""OpenAI's Responses API."""

from __future__ import annotations

from pointsman.routing.body import Fields
from pointsman.routing.edits import SystemPrompt
from pointsman.routing.formats.format import Changes, Format, ParsedRequest, combined, set_inside


class Responses(Format):
    path = "/v1/responses"
    prompt_field = "input"

    def effort_changes(self, fields: Fields, parameter: str, effort: str) -> Changes:
        return set_inside(fields, "reasoning", "effort", effort)

    def system_prompt_changes(self, request: ParsedRequest, prompt: SystemPrompt) -> Changes:
        return {"instructions": combined(request.fields.get("instructions"), prompt)}
