"""The responses that this program makes itself."""

from __future__ import annotations

import email.utils
import functools
import time
from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec

from pointsman.errors import HttpError, error_body

Pairs = list[tuple[str, str]]

_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(slots=True)
class Response:
    """A response of this program; `lines` are whole header lines."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Pairs = field(default_factory=list)
    lines: bytes = b""

    def encode(self, *, keep_alive: bool, http_1_0: bool, bodiless: bool = False) -> bytes:
        """Serialize for a client of HTTP/1.0 if `http_1_0`, for a HEAD request if `bodiless`."""
        connection = "" if keep_alive is not http_1_0 else f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n"
        head = _head(self, connection)
        return b"%b%b\r\n%b" % (head.encode("latin-1"), self.lines, b"" if bodiless else self.body)


def _head(response: Response, connection: str) -> str:
    more = "".join([f"{name}: {value}\r\n" for name, value in response.headers])
    return (
        f"HTTP/1.1 {response.status} {_REASONS.get(response.status, '')}\r\n"
        f"Content-Type: {response.content_type}\r\nContent-Length: {len(response.body)}\r\n"
        f"Date: {_date(int(time.time()))}\r\n{connection}{more}"
    )


@functools.lru_cache(1)
def _date(now: int) -> str:
    return email.utils.formatdate(now, usegmt=True)


def json_response(value: object, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(status, msgspec.json.encode(value))


def error_response(error: HttpError, body: object = None) -> Response:
    """Return the response to a request that failed; `body` is the error in another form than OpenAI's."""
    response = json_response(body or error.body(), error.status)
    if error.retry_after is not None:
        response.headers.append(("Retry-After", str(error.retry_after)))
    response.headers += error.headers
    return response


def refusal(status: int, message: str, code: str) -> Response:
    """Return the error for a client whose connection is then closed."""
    body = error_body(message, type="invalid_request_error", param=None, code=code)
    return Response(status, msgspec.json.encode(body))
