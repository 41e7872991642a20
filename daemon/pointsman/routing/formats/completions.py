"""OpenAI's completions: one prompt, without roles."""

from __future__ import annotations

from pointsman.routing.body import Fields
from pointsman.routing.edits import Reasoning, SystemPrompt
from pointsman.routing.formats.format import FINDER, Changes, Format, ParsedRequest
from pointsman.routing.formats.message_list import read_text
from pointsman.routing.prompt_text import TooManyParts
from pointsman.routing.steps import Steps


class Completions(Format):
    path = "/v1/completions"
    prompt_field = "prompt"

    def read(self, fields: Fields) -> Steps[ParsedRequest]:
        model = fields.model
        try:
            text = yield from read_text(fields.get("prompt"), None)
        except TooManyParts:
            return ParsedRequest(self, fields, model, readable=False)
        return ParsedRequest(self, fields, model, FINDER.find((text,)))

    def reasoning_changes(self, fields: Fields, reasoning: Reasoning) -> Changes:
        return {}

    def own_reasoning(self, fields: Fields, reasoning: Reasoning) -> bool | None:
        return None

    def system_prompt_changes(self, request: ParsedRequest, prompt: SystemPrompt) -> Changes:
        return {}
