"""The tree of errors; who is to blame is in the type.

PointsmanError
├── CannotStart             the operator's: config, artifact, address; `serve` exits with 3
│   ├── ConfigError         every problem of a config file, each with place and fix
│   └── ArtifactError       a classifier folder that is not what it should be
├── HttpError               becomes an answer in OpenAI form
│   ├── RequestError        the client's: answered with its `status` and never forwarded
│   │   └── MethodNotAllowed
│   ├── OverShare           the client's: more at once than the operator allows to one
│   ├── TooBusy             nobody's: more at once than the operator allows
│   ├── ShuttingDown        the operator's: the service ends
│   └── UpstreamError       vLLM's, or the way to it
│       ├── UpstreamUnreachable
│       ├── UpstreamTimeout
│       └── UpstreamBroken
├── EvaluationError         the operator's: a file for `pointsman eval` that cannot be judged by; it exits with 1
└── ClassifierError         ours: the request goes on with the fallback, the reason says why
    ├── DeadlineMissed
    └── Overloaded
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


class PointsmanError(Exception):
    """Root of all errors that this package raises on purpose."""


class CannotStart(PointsmanError):
    """The service cannot start until the operator fixes something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault of a config file: where it is, what was found and expected, how to fix it."""

    path: str
    line: int | None
    message: str
    fix: str

    def render(self, file: str) -> str:
        """`file:line: key.path: message; fix`, one line."""
        place = file if self.line is None else f"{file}:{self.line}"
        key = f"{self.path}: " if self.path else ""
        return f"{place}: {key}{self.message}; {self.fix}"

    def fields(self) -> dict[str, Any]:
        """Return the problem for JSON; `mend` is the name that `fix` had at first."""
        return dataclasses.asdict(self) | {"mend": self.fix}


class ConfigError(CannotStart):
    """All problems of one config file at once."""

    def __init__(self, file: str, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(problem.render(file) for problem in problems))
        self.file = file
        self.problems = problems


class ArtifactError(CannotStart):
    """A classifier folder that cannot be served; the message says which file, why, and the fix."""


class EvaluationError(PointsmanError):
    """A file of prompts, texts or decisions that cannot be used; a line for each fault, with file and line."""


class ClassifierError(PointsmanError):
    """The classifier gave no answer for this text; the fallback answers instead."""

    reason = "classifier_error"


class DeadlineMissed(ClassifierError):
    """The class was not there within `deadline_ms`."""

    reason = "deadline"


class Overloaded(ClassifierError):
    """The queue is too long to meet the deadline, so the text was not queued at all."""

    reason = "overloaded"


class HttpError(PointsmanError):
    """An error that becomes an HTTP answer in OpenAI's form."""

    status = 500
    type = "internal_error"
    code: str = "internal_error"
    retry_after: int | None = None
    """Seconds after which another try makes sense, for `Retry-After`."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param

    def body(self) -> dict[str, Any]:
        """OpenAI's error object."""
        return error_body(self.message, type=self.type, param=self.param, code=self.code)


class RequestError(HttpError):
    """The client's request is at fault."""

    type = "invalid_request_error"

    def __init__(self, message: str, *, status: int, code: str, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.status = status
        self.code = code


class MethodNotAllowed(RequestError):
    """The path has other methods: `allowed`, as the header says it."""

    def __init__(self, message: str, allowed: str) -> None:
        super().__init__(message, status=405, code="method_not_allowed")
        self.allowed = allowed


class OverShare(HttpError):
    """More at once than one client may have; the request was not looked at."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"
    retry_after = 1


class TooBusy(HttpError):
    """More at once than the service takes; the request was not looked at."""

    status = 503
    type = "overloaded_error"
    code = "overloaded"
    retry_after = 1


class ShuttingDown(HttpError):
    """The service ends before the answer did."""

    status = 503
    type = "overloaded_error"
    code = "shutting_down"
    retry_after = 5


class UpstreamError(HttpError):
    """vLLM, or the way to it, is at fault."""

    status = 502
    type = "upstream_error"
    code = "upstream_error"


class UpstreamUnreachable(UpstreamError):
    """No connection to any endpoint that may serve the request."""

    code = "upstream_unreachable"


class UpstreamTimeout(UpstreamError):
    """The endpoint took the request and did not answer in time."""

    status = 504
    code = "upstream_timeout"


class UpstreamBroken(UpstreamError):
    """The endpoint broke the connection before it answered."""

    code = "upstream_broken"


def error_body(message: str, *, type: str, param: str | None, code: str) -> dict[str, Any]:  # noqa: A002 - OpenAI's name
    """OpenAI's error object, the form of every error that Pointsman makes itself."""
    return {"error": {"message": message, "type": type, "param": param, "code": code}}
