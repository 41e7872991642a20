"""OpenAI's completions: one prompt or several, without roles."""

from __future__ import annotations

from pointsman.routing.body import Fields
from pointsman.routing.edits import Reasoning, SystemPrompt
from pointsman.routing.formats.format import Changes, Format, ParsedRequest


class Completions(Format):
    path = "/v1/completions"
    prompt_field = "prompt"
    plain = True
    prompts_fields = ("prompt", "prompt_embeds")

    def reasoning_changes(self, fields: Fields, reasoning: Reasoning) -> Changes:
        return ()

    def own_reasoning(self, fields: Fields, reasoning: Reasoning) -> bool | None:
        return None

    def system_prompt_changes(self, request: ParsedRequest, prompt: SystemPrompt) -> Changes:
        return ()
