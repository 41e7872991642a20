"""Write errors as OpenAI, its Responses API, or Anthropic does. Pure."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import msgspec

from pointsman.errors import HttpError

_ANTHROPIC_TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.NOT_FOUND: "not_found_error",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "request_too_large",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
    HTTPStatus.SERVICE_UNAVAILABLE: "overloaded_error",
    HTTPStatus.GATEWAY_TIMEOUT: "timeout_error",
}
_SEQUENCE = re.compile(rb'"sequence_number":\s*(\d{1,15})')


class ErrorForm:
    """OpenAI's form of errors, which most paths have."""

    event_line = b""
    """The line that names the event of an error."""

    def body(self, error: HttpError) -> dict[str, Any]:
        """Return the body of an error response."""
        return error.body()

    def event(self, error: HttpError, tail: bytes) -> bytes:
        """Return the event that ends a broken stream; `tail` is the stream's last bytes.

        The blank line before it ends a truncated event: the client may be unable to read that one, but reads this.
        """
        return b"\n\n%bdata: %b\n\n" % (self.event_line, msgspec.json.encode(self.event_data(error, tail)))

    def event_data(self, error: HttpError, tail: bytes) -> dict[str, Any]:
        """Return the data of that event."""
        return self.body(error)


class AnthropicErrorForm(ErrorForm):
    """Anthropic's form, which has no `code`; ours is added, as operators look it up."""

    event_line = b"event: error\n"

    def body(self, error: HttpError) -> dict[str, Any]:
        default = "invalid_request_error" if error.status < HTTPStatus.INTERNAL_SERVER_ERROR else "api_error"
        kind = next((name for status, name in _ANTHROPIC_TYPES.items() if status == error.status), default)
        return {"type": "error", "error": {"type": kind, "message": error.message, "code": error.code}}


class ResponsesErrorForm(ErrorForm):
    """The Responses API's form: an event `error`, with the object for which OpenAI's clients raise an exception."""

    event_line = b"event: error\n"

    def event_data(self, error: HttpError, tail: bytes) -> dict[str, Any]:
        numbers = _SEQUENCE.findall(tail)
        return {
            "type": "error",
            "code": error.code,
            "message": error.message,
            "param": error.param,
            "sequence_number": int(numbers[-1]) + 1 if numbers else 0,
            **self.body(error),
        }


OPENAI, ANTHROPIC, OPENAI_RESPONSES = ErrorForm(), AnthropicErrorForm(), ResponsesErrorForm()
