"""OpenAI's completions: one prompt, without roles."""

from __future__ import annotations

from pointsman.routing.body import text_of
from pointsman.routing.conversation import Conversation, single_turn
from pointsman.routing.edits import Reasoning, SystemPrompt
from pointsman.routing.formats.format import Changes, Fields, Format


class Completions(Format):
    path = "/v1/completions"

    def read(self, fields: Fields) -> tuple[str, Conversation]:
        text = text_of(fields.get("prompt"))
        return text, single_turn(text)

    def reasoning_changes(self, fields: Fields, reasoning: Reasoning) -> Changes:
        return {}

    def system_prompt_changes(self, fields: Fields, prompt: SystemPrompt) -> Changes:
        return {}
