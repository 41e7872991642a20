"""OpenAI's chat completions."""

from __future__ import annotations

import msgspec

from pointsman.routing.body import AT_ONCE, Fields, ScannedMessage, Value, given, start_of
from pointsman.routing.edits import SystemPrompt
from pointsman.routing.formats.format import Changes, Format, ParsedRequest, combined


class Chat(Format):
    path = "/v1/chat/completions"

    def effort_changes(self, fields: Fields, parameter: str, effort: str) -> Changes:
        return {} if given(fields.get(parameter)) else {parameter: (msgspec.json.encode(effort),)}

    def own_effort(self, fields: Fields, parameter: str) -> Value | None:
        return fields.get(parameter)

    def system_prompt_changes(self, request: ParsedRequest, prompt: SystemPrompt) -> Changes:
        fields, value = request.fields, request.fields.get("messages")
        if value is None or not request.messages:
            return {}
        shown, first = memoryview(value), request.messages[0]
        if first.role not in ("system", "developer"):
            message = msgspec.json.encode({"role": "system", "content": prompt.text})
            return {"messages": (b"[", message, b",", shown[1:])}
        begin = fields.start("messages", value)
        at, length = fields.data.find(b"{", begin) - begin, memoryview(first.content).nbytes
        if not length:
            behind = at + 1
            return {"messages": (shown[:behind], b'"content":', *combined(None, prompt), b",", shown[behind:])}
        if isinstance(first, ScannedMessage):
            start = first.start
        else:
            start = at + start_of(bytes(shown[at : at + AT_ONCE]), "content", first.content)
        return {"messages": (shown[:start], *combined(first.content, prompt), shown[start + length :])}
