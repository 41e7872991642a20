"""OpenAI's chat completions."""

from __future__ import annotations

from typing import Any

from pointsman.routing.body import LIST, OBJECT, decode, given
from pointsman.routing.conversation import Conversation
from pointsman.routing.edits import SystemPrompt
from pointsman.routing.formats.format import Changes, Fields, Format, combined
from pointsman.routing.formats.message_list import message_of, read_messages


class Chat(Format):
    path = "/v1/chat/completions"

    def read(self, fields: Fields) -> tuple[str, Conversation]:
        return read_messages(fields.get("messages"))

    def effort_changes(self, fields: Fields, parameter: str, effort: str) -> Changes:
        return {} if given(fields.get(parameter)) else {parameter: effort}

    def system_prompt_changes(self, fields: Fields, prompt: SystemPrompt) -> Changes:
        messages: list[Any] | None = decode(fields.get("messages"), None, LIST)
        if not messages:
            return {}
        if message_of(messages[0]).role not in ("system", "developer"):
            return {"messages": [{"role": "system", "content": prompt.text}, *messages]}
        first: dict[str, Any] = decode(messages[0], {}, OBJECT)
        first["content"] = combined(first.get("content"), prompt)
        return {"messages": [first, *messages[1:]]}
