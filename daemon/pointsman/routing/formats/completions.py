"""OpenAI's completions: one prompt or several, without roles."""

from __future__ import annotations

from pointsman.routing.body import BodyFields
from pointsman.routing.edits import ReasoningEdit, SystemPrompt
from pointsman.routing.formats.format import Changes, Format, ParsedRequest


class CompletionsFormat(Format):
    path = "/v1/completions"
    prompt_field = "prompt"
    plain = True
    prompts_fields = ("prompt", "prompt_embeds")

    def reasoning_changes(self, fields: BodyFields, reasoning: ReasoningEdit) -> Changes:
        return ()

    def own_reasoning(self, fields: BodyFields, reasoning: ReasoningEdit) -> bool | None:
        return None

    def system_prompt_changes(self, request: ParsedRequest, prompt: SystemPrompt) -> Changes:
        return ()
