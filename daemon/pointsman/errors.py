"""The errors as one tree; the type of an error says whose fault it is.

PointsmanError
├── CannotStart                   the operator must fix the config, an artifact or an address; `serve` exits with 3
│   ├── ConfigError               all problems of one config file, each with its place and fix
│   └── ArtifactError             a classifier folder that cannot be served
├── HttpError                     becomes an error response in OpenAI's form
│   ├── Unauthorized              the client has no valid key
│   ├── ModelNotAllowed           its key may not use the model, or the model cannot be read
│   │   └── UsageUnknown          the key's tokens are limited, and those of the request would not be known
│   ├── RequestError              the client's fault: answered with its `status`, never forwarded
│   │   ├── MethodNotAllowed
│   │   ├── BodyEvicted           its body had not arrived when another one needed the room
│   │   ├── NestedTooDeeply       its body, which vLLM may be able to read
│   │   ├── TlsRequired           it came without TLS
│   │   └── UnknownResponse       a stored response that this client does not have
│   ├── RateLimited               its key has reached one of its limits
│   ├── ConcurrencyLimited        one client exceeds its limit of concurrent requests
│   ├── TooBusy                   the service is at its limit of concurrent requests
│   │   └── BuffersFull           the bytes of requests in memory are at their limit
│   ├── ShuttingDown              the service is shutting down
│   └── UpstreamError             vLLM or the connection to it failed
│       ├── UpstreamUnreachable
│       ├── UpstreamTimeout
│       ├── UpstreamBroken
│       ├── KeyRefused
│       └── OutOfFileDescriptors  this process cannot open a connection, which says nothing about vLLM
├── CommandFailed                 a command cannot do what it was asked: it prints the message and exits with 1
│   └── EvaluationError           an input file is unusable
└── ClassifierError               no classification: the request continues with the fallback category
    ├── DeadlineMissed
    └── Overloaded
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


class PointsmanError(Exception):
    """The root of all errors that this package raises on purpose."""


class CannotStart(PointsmanError):
    """The service cannot start until the operator fixes something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A problem in a config file: its position, what was found and expected, and how to fix it."""

    path: str
    line: int | None
    message: str
    fix: str

    def render(self, file: str) -> str:
        """Return the problem as one line: `file:line: key.path: message; fix`."""
        location = file if self.line is None else f"{file}:{self.line}"
        key = f"{self.path}: " if self.path else ""
        return f"{location}: {key}{self.message}; {self.fix}"

    def fields(self) -> dict[str, Any]:
        """Return the problem as a JSON object; `mend` is the former name of `fix`, for older clients."""
        return dataclasses.asdict(self) | {"mend": self.fix}


class ConfigError(CannotStart):
    """All problems of one config file at once."""

    def __init__(self, file: str, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(problem.render(file) for problem in problems))
        self.file = file
        self.problems = problems


class ArtifactError(CannotStart):
    """A classifier folder that cannot be served; the message names the file, the cause and the fix."""


class CommandFailed(PointsmanError):
    """A command cannot do what it was asked; the message says why."""


class EvaluationError(CommandFailed):
    """An unusable file of prompts, texts or decisions; the message has one line per problem, with file and line."""


class ClassifierError(PointsmanError):
    """The classifier gave no result for this text; the fallback category is used instead."""

    reason = "classifier_error"


class DeadlineMissed(ClassifierError):
    """The classification was not finished within `deadline_ms`."""

    reason = "deadline"


class Overloaded(ClassifierError):
    """The queue is too long to meet the deadline; the text was not queued."""

    reason = "overloaded"


class HttpError(PointsmanError):
    """An error that becomes an HTTP response in OpenAI's form."""

    status = 500
    type = "internal_error"
    code: str = "internal_error"
    retry_after: int | None = None
    """Seconds until the client should try again, sent as `Retry-After`."""
    headers: tuple[tuple[str, str], ...] = ()
    """Further headers of the response."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param

    @property
    def in_full(self) -> str:
        """The message for operators, in the log and on the admin port."""
        return self.message

    def body(self) -> dict[str, Any]:
        """Return the error in OpenAI's form."""
        return error_body(self.message, type=self.type, param=self.param, code=self.code)


class RequestError(HttpError):
    """The request is invalid."""

    type = "invalid_request_error"

    def __init__(self, message: str, *, status: int, code: str, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.status = status
        self.code = code


class MethodNotAllowed(RequestError):
    """The path does not support this method; `allowed` is the value of the `Allow` header."""

    def __init__(self, message: str, allowed: str) -> None:
        super().__init__(message, status=405, code="method_not_allowed")
        self.headers = (("Allow", allowed),)


class BodyEvicted(RequestError):
    """The body was still arriving when there were too many, and its client had the most of them."""

    def __init__(self) -> None:
        message = (
            "too many request bodies were arriving (half of pointsman.server.max_connections), and this one had waited "
            "longest of the client with the most; send it right after its head"
        )
        super().__init__(message, status=408, code="request_timeout")


class NestedTooDeeply(RequestError):
    """The body is JSON nested too deeply; vLLM reads more levels, from Python 3.12 on."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=400, code="invalid_json")


class UpgradeRequired(RequestError):
    """The path speaks only the WebSocket protocol."""

    headers = (("Upgrade", "websocket"),)

    def __init__(self) -> None:
        message = (
            "a websocket is spoken here: send GET with `Connection: Upgrade` and `Upgrade: websocket`, and no body"
        )
        super().__init__(message, status=426, code="upgrade_required")


class TlsRequired(RequestError):
    """The client speaks HTTP without TLS on a TLS port; its request was not read."""

    def __init__(self) -> None:
        message = "TLS is spoken here, and the request came without it; begin the base URL with https://"
        super().__init__(message, status=400, code="tls_required")


class UnknownResponse(RequestError):
    """The client has no stored response of this id; the error is vLLM's own, so that nobody can tell why."""

    def __init__(self, response_id: str) -> None:
        message = f"Response with id '{response_id[:128]}' not found."
        super().__init__(message, status=404, code="not_found", param="response_id")

    def body(self) -> dict[str, Any]:
        """Return the error as vLLM does, with the status for its code."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.status}}


class Unauthorized(HttpError):
    """The client has no valid key; the request was not read."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"
    headers = (("WWW-Authenticate", "Bearer"),)


class ModelNotAllowed(HttpError):
    """The client's key may not use the model."""

    status = 403
    type = "invalid_request_error"
    code = "model_not_allowed"

    def __init__(self, message: str) -> None:
        super().__init__(message, param="model")


class UsageUnknown(ModelNotAllowed):
    """The tokens of the client's key are limited, and the use of the request would be unknown."""

    code = "usage_unknown"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.param = None


class RateLimited(HttpError):
    """The client's key has reached a limit, which the metrics count by `reason`; `headers` tell the remaining use."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"

    def __init__(self, reason: str, message: str, retry_after: int, headers: tuple[tuple[str, str], ...]) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after
        self.headers = headers


class ConcurrencyLimited(HttpError):
    """The client has too many requests in flight; the request was not read."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"
    retry_after = 1


class TooBusy(HttpError):
    """The service has too many requests in flight; the request was not read."""

    status = 503
    type = "overloaded_error"
    code = "overloaded"
    retry_after = 1


class BuffersFull(TooBusy):
    """There is no room in memory for the body; it was not read completely."""

    def __init__(self) -> None:
        super().__init__("too many bytes of requests in memory (pointsman.server.max_buffered_bytes)")


class ShuttingDown(HttpError):
    """The service shut down before the response was complete."""

    status = 503
    type = "overloaded_error"
    code = "shutting_down"
    retry_after = 5


class UpstreamError(HttpError):
    """vLLM, or the connection to it, failed."""

    status = 502
    type = "upstream_error"
    code = "upstream_error"


class UpstreamUnreachable(UpstreamError):
    """No endpoint that may serve the request accepts connections."""

    code = "upstream_unreachable"

    def __init__(self, message: str, detail: str = "") -> None:
        """Take `detail`, the address and the system's message, which is for operators and not for clients."""
        super().__init__(message)
        self.detail = detail

    @property
    def in_full(self) -> str:
        return f"{self.message} ({self.detail})" if self.detail else self.message


class UpstreamTimeout(UpstreamError):
    """The endpoint accepted the request but did not answer in time."""

    status = 504
    code = "upstream_timeout"


class UpstreamBroken(UpstreamError):
    """The endpoint closed the connection before its response was complete."""

    code = "upstream_broken"


class KeyRefused(UpstreamError):
    """The endpoint refuses the service's key, or requires one."""


class OutOfFileDescriptors(UpstreamError):
    """This process has no file descriptor for another connection, so vLLM was not asked."""

    status = 503
    type = "overloaded_error"
    code = "overloaded"
    retry_after = 1


def error_body(message: str, *, type: str, param: str | None, code: str) -> dict[str, Any]:  # noqa: A002 - OpenAI's name
    """Return an error in OpenAI's form, which every error made by Pointsman has."""
    return {"error": {"message": message, "type": type, "param": param, "code": code}}
