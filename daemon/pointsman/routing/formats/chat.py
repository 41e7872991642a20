"""OpenAI's chat completions."""

from __future__ import annotations

import msgspec

from pointsman.routing.body import Fields, Value, given, span_of
from pointsman.routing.edits import SystemPrompt
from pointsman.routing.formats.format import Changes, Format, ParsedRequest, combined


class Chat(Format):
    path = "/v1/chat/completions"

    def effort_changes(self, fields: Fields, parameter: str, effort: str) -> Changes:
        return {} if given(fields.get(parameter)) else {parameter: (msgspec.json.encode(effort),)}

    def own_effort(self, fields: Fields, parameter: str) -> Value | None:
        return fields.get(parameter)

    def system_prompt_changes(self, request: ParsedRequest, prompt: SystemPrompt) -> Changes:
        value, data = request.fields.get("messages"), request.fields.data
        if value is None or not request.messages:
            return {}
        shown, first = memoryview(value), request.messages[0]
        if first.role not in ("system", "developer"):
            message = msgspec.json.encode({"role": "system", "content": prompt.text})
            return {"messages": (b"[", message, b",", shown[1:])}
        start = span_of(data, value).start
        if memoryview(first.content).nbytes:
            content = span_of(data, first.content)
            new = combined(first.content, prompt)
            return {"messages": (shown[: content.start - start], *new, shown[content.end - start :])}
        behind = data.index(b"{", start) + 1 - start
        return {"messages": (shown[:behind], b'"content":', *combined(None, prompt), b",", shown[behind:])}
