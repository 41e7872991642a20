"""OpenAI's chat completions."""

from __future__ import annotations

import msgspec

from pointsman.routing.body import ABSENT, BodyFields, Value, given
from pointsman.routing.edits import BodyEdit, SystemPrompt, changed
from pointsman.routing.formats.format import Changes, Format, ParsedRequest, combined


class ChatFormat(Format):
    path = "/v1/chat/completions"
    length_fields = ("max_tokens", "max_completion_tokens")

    def effort_changes(self, fields: BodyFields, parameter: str, effort: str) -> Changes:
        return () if given(fields.get(parameter)) else (changed(fields, parameter, (msgspec.json.encode(effort),)),)

    def own_effort(self, fields: BodyFields, parameter: str) -> Value | None:
        return fields.get(parameter)

    def system_prompt_changes(self, request: ParsedRequest, prompt: SystemPrompt) -> Changes:
        fields, messages = request.fields, request.messages
        if not messages:
            return ()
        first = messages[0]
        ours = first.role in ("system", "developer")
        if ours and first.content is not ABSENT:
            return (BodyEdit("messages", combined(first.content, prompt), *fields.span(first.content)),)
        begin = fields.messages_start(first) + 1
        if not ours:
            message = msgspec.json.encode({"role": "system", "content": prompt.text})
            return (BodyEdit("messages", (message, b","), begin, begin),)
        after_brace = fields.data.find(b"{", begin) + 1
        return (BodyEdit("messages", (b'"content":', *combined(None, prompt), b","), after_brace, after_brace),)
