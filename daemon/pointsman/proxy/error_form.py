"""Write errors in the form of the API that a path belongs to: OpenAI's, that of its responses, or Anthropic's. Pure."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import msgspec

from pointsman.errors import HttpError

_ANTHROPIC = "/v1/messages"
RESPONSES = "/v1/responses"
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


def error_body(error: HttpError, path: str) -> dict[str, Any]:
    """Return the body of an error response to a request for `path`."""
    return _anthropic(error) if _is_anthropic(path) else error.body()


def error_event(error: HttpError, path: str, tail: bytes) -> bytes:
    """Return the event that ends a broken stream; `tail` is the stream's last bytes.

    The blank line before it ends a truncated event: the client may be unable to read that one, but reads this.
    """
    if _is_anthropic(path):
        name, data = b"event: error\n", _anthropic(error)
    elif path.startswith(RESPONSES):
        name, data = b"event: error\n", _responses(error, tail)
    else:
        name, data = b"", error.body()
    return b"\n\n%bdata: %b\n\n" % (name, msgspec.json.encode(data))


def _is_anthropic(path: str) -> bool:
    return path == _ANTHROPIC or path.startswith(_ANTHROPIC + "/")


def _anthropic(error: HttpError) -> dict[str, Any]:
    """Write the error in Anthropic's form, which has no `code`; ours is added, as operators look it up."""
    default = "invalid_request_error" if error.status < HTTPStatus.INTERNAL_SERVER_ERROR else "api_error"
    kind = next((name for status, name in _ANTHROPIC_TYPES.items() if status == error.status), default)
    return {"type": "error", "error": {"type": kind, "message": error.message, "code": error.code}}


def _responses(error: HttpError, tail: bytes) -> dict[str, Any]:
    """Write the event `error` of the Responses API, and the object for which OpenAI's clients raise an exception."""
    numbers = _SEQUENCE.findall(tail)
    return {
        "type": "error",
        "code": error.code,
        "message": error.message,
        "param": error.param,
        "sequence_number": int(numbers[-1]) + 1 if numbers else 0,
        **error.body(),
    }
