"""Record a request's outcome in the metrics and the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pointsman.errors import (
    BodyEvicted,
    BuffersFull,
    HttpError,
    ModelNotAllowed,
    OutOfFileDescriptors,
    RateLimited,
    Unauthorized,
    UpstreamError,
)
from pointsman.formats import error_form_of
from pointsman.http1.forwarded_headers import request_id
from pointsman.observability.answers import Answers
from pointsman.observability.log import Log
from pointsman.observability.metrics import Metrics
from pointsman.observability.record import Record
from pointsman.observability.spans import Spans
from pointsman.server.request import Request
from pointsman.server.response import Response, error_response


@dataclass(frozen=True, slots=True, eq=False)
class Recorder:
    """A recorder of one config's requests; `requests`: each gets a line in the log.

    `watch`, if any, is called with each request that has ended. `answers`, if any, remember those that clients may
    judge. `spans`, if any, are exported.
    """

    metrics: Metrics
    log: Log
    requests: bool
    watch: Callable[[Record], None] | None = None
    answers: Answers | None = None
    spans: Spans | None = None

    def count_and_log(self, record: Record) -> None:
        """Count and log a request at its end."""
        record.end()
        self.metrics.count(record)
        if self.requests:
            self.log.soon(record)
        if self.watch is not None:
            self.watch(record)
        if self.spans is not None:
            self.spans.end(record)

    def record_error(self, record: Record, error: HttpError, path: str | None = None) -> Response:
        """Count the error that ends a request, store it in the record, and return the response for the client.

        `path` selects the form of the error, if that is not the path in the record.
        """
        record.status, record.error = error.status, error.in_full
        if isinstance(error, BuffersFull):
            self.metrics.refused.add("memory")
        elif isinstance(error, RateLimited):
            self.metrics.refused.add(error.reason)
        elif isinstance(error, Unauthorized):
            self.metrics.refused.add("unauthorized")
        elif isinstance(error, ModelNotAllowed):
            self.metrics.refused.add("not_allowed")
        elif isinstance(error, OutOfFileDescriptors):
            self.metrics.refused.add("files")
        elif isinstance(error, UpstreamError):
            self.metrics.upstream_errors.add(record.endpoint or "", error.code)
        elif isinstance(error, BodyEvicted):
            self.metrics.refused.add("bodies")
        elif error.code == "request_timeout":
            self.metrics.refused.add("body_timeout")
        response = error_response(error, error_form_of(path or record.path).body(error))
        response.headers.append(("X-Request-Id", record.request_id))
        return response

    def record_abandoned(self, request: Request) -> None:
        """Record a pipelined request whose client left before its turn."""
        record = new_record(request, "queued")
        record.phase, record.status = "queue", 499
        self.metrics.left.add(record.phase)
        self.count_and_log(record)

    def not_routed(self, request: Request, error: HttpError) -> Response:
        """Record a request for an unlisted path, and return the response.

        The path is not a label, as clients could invent any number of them. The error in the log names the path.
        """
        record = new_record(request, "other")
        response = self.record_error(record, error, request.head.path)
        self.count_and_log(record)
        return response


def new_record(request: Request, path: str) -> Record:
    """Return an empty record; `path` is the route's."""
    given = request.head.values.get(b"x-request-id")
    name = request_id(given)
    return Record(name, path, request.head.method, request.client.address, given is None or given != name.encode())
