"""OpenAI's Responses API."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.json import Decoder

from pointsman.errors import RequestError
from pointsman.routing.body import BodyFields, Value, decode, given
from pointsman.routing.edits import SystemPrompt, changed
from pointsman.routing.formats.format import Changes, Format, ParsedRequest, combined, inside, set_inside

_FLAG: Decoder[bool | None] = Decoder(bool | None)
_ID: Decoder[str | None] = Decoder(str | None)


class ResponseStorage(NamedTuple):
    """The stored response that a request continues, and whether its own response is stored."""

    continues: str | None
    stores: bool


def storage_of(fields: BodyFields) -> ResponseStorage:
    """Return what a body says about stored responses; raises RequestError (400) if it chooses its response's id."""
    stores = bool(decode(fields.get("store"), True, _FLAG))
    if stores and given(fields.get("request_id")):
        raise RequestError(
            "`request_id` would become the id of the stored response, which must be vLLM's choice: leave it out and "
            "use the header X-Request-Id, or send `store: false`",
            status=400,
            code="unsupported_parameter",
            param="request_id",
        )
    return ResponseStorage(decode(fields.get("previous_response_id"), None, _ID), stores)


class ResponsesFormat(Format):
    path = "/v1/responses"
    prompt_field = "input"
    system_field = "instructions"
    length_fields = ("max_output_tokens",)
    usage_in_stream = (("response", "usage"),)
    own_fields = ("previous_response_id", "request_id", "store")

    def effort_changes(self, fields: BodyFields, parameter: str, effort: str) -> Changes:
        return set_inside(fields, "reasoning", "effort", effort)

    def own_effort(self, fields: BodyFields, parameter: str) -> Value | None:
        return inside(fields, "reasoning", "effort")

    def system_prompt_changes(self, request: ParsedRequest, prompt: SystemPrompt) -> Changes:
        return (changed(request.fields, "instructions", combined(request.fields.get("instructions"), prompt)),)
