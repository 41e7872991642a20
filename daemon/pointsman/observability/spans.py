"""Export a span of each traced request to an OpenTelemetry collector. No request waits for it."""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from pointsman import __version__
from pointsman.config.tracing import TracingOptions
from pointsman.formats import by_path
from pointsman.observability.log import Log
from pointsman.observability.log_line import cut
from pointsman.observability.record import MAX_ERROR_BYTES, MAX_NAME_BYTES, Record, draw_of
from pointsman.observability.trace import Trace, begin

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.util.types import AttributeValue

# Requests whose spans wait for the collector; of more, the newest are dropped and counted.
WAITING = 2048
AT_ONCE = 512
HELD_SECONDS = 1.0
EXPORT_SECONDS = 5
"""For one export with all its repetitions."""
CLOSE_SECONDS = 1.0
"""Time for the collector to take spans after the end; later ones are lost."""


def installed() -> bool:
    """Return whether the extra `otel` is installed."""
    return importlib.util.find_spec("opentelemetry.exporter") is not None


class Spans:
    """The queue of ended requests, and the thread that makes spans of them and sends these."""

    def __init__(self, options: TracingOptions, log: Log, count_dropped: Callable[[], object]) -> None:
        """Take `count_dropped`, called for each span that is dropped. The extra `otel` must be installed."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource

        # The library reports every attempt; here one line says that exporting fails, and one that it works again.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._share = options.sample
        self._url = f"{(options.endpoint or '').rstrip('/')}/v1/traces"
        self._exporter = OTLPSpanExporter(endpoint=self._url, timeout=EXPORT_SECONDS)
        own = Resource({"service.name": "pointsman", "service.version": __version__})
        self._resource = own.merge(OTELResourceDetector().detect())
        self._log = log
        self._count_dropped = count_dropped
        self._failing = False
        self._waiting: deque[tuple[Record, Trace]] = deque()
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def begin(self, traceparent: bytes | None) -> Trace:
        """Return the position in a trace of a request with this header."""
        return begin(traceparent, self._share)

    def end(self, record: Record) -> None:
        """Export the span of a request that has ended, soon; it is dropped while too many wait."""
        trace = record.trace
        if trace is None or not trace.sampled:
            return
        if len(self._waiting) < WAITING:
            self._waiting.append((record, trace))
            self._changed.set()
        else:
            self._count_dropped()

    def close(self) -> None:
        """Send waiting spans, and end; waits for the collector, at most CLOSE_SECONDS."""
        self._closing.set()
        self._changed.set()
        self._thread.join(CLOSE_SECONDS)
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _run(self) -> None:
        while not self._closing.is_set():
            self._changed.wait()
            self._closing.wait(HELD_SECONDS)  # so that one export takes several
            self._changed.clear()
            while self._waiting:
                self.export([self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))])

    def export(self, ended: list[tuple[Record, Trace]]) -> None:
        """Send the spans of requests that have ended; those that the collector does not take are lost."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        try:
            sent = self._exporter.export([span_of(*one, self._resource) for one in ended]) is SpanExportResult.SUCCESS
        except Exception as error:  # noqa: BLE001 - whatever a library raises, the next spans are tried
            sent = False
            self._report(failing=True, error=repr(error))
        else:
            self._report(failing=not sent)
        if not sent:
            for _ in ended:
                self._count_dropped()

    def _report(self, *, failing: bool, error: str | None = None) -> None:
        if failing == self._failing:
            return
        self._failing = failing
        if failing:
            message = f"spans cannot be sent to {self._url} and are dropped; check pointsman.tracing.endpoint"
            self._log.write("warning", "tracing", message=message, error=error)
        else:
            self._log.write("info", "tracing", message=f"spans are sent to {self._url} again")


def span_of(record: Record, trace: Trace, resource: Resource) -> ReadableSpan:
    """Return the span of a request that has ended, as OpenTelemetry's conventions for GenAI describe it."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    def context(span_id: int, *, remote: bool) -> SpanContext:
        return SpanContext(trace.trace_id, span_id, remote, TraceFlags(TraceFlags.SAMPLED))

    ended = int(record.ended * 1e9)
    operation = by_path(record.path).operation
    failed = Status(StatusCode.ERROR, record.error) if record.status >= 500 else Status()
    return ReadableSpan(
        _name(record, operation),
        context(trace.span_id, remote=False),
        context(trace.parent_id, remote=True) if trace.parent_id else None,
        resource,
        _attributes(record, operation),
        kind=SpanKind.SERVER,
        status=failed,
        start_time=ended - int(record.seconds * 1e9),
        end_time=ended,
    )


def _name(record: Record, operation: str | None) -> str:
    if operation is not None and record.original_model is not None:
        return f"{operation} {cut(record.original_model, MAX_NAME_BYTES)}"
    return f"{record.method} {record.path}"


def _attributes(record: Record, operation: str | None) -> dict[str, AttributeValue]:
    """Return the attributes of a request, without its text and key."""
    found: dict[str, AttributeValue | None] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": None if operation is None else "vllm",
        "gen_ai.request.model": record.original_model,
        "http.request.method": record.method,
        "http.route": record.path,
        "http.response.status_code": record.status,
        "client.address": record.client or None,
        "error.type": str(record.status) if record.status >= 500 else None,
        "pointsman.request_id": record.request_id,
        "pointsman.key": record.key,
        "pointsman.endpoint": record.endpoint,
        "pointsman.error": record.error and cut(record.error, MAX_ERROR_BYTES),
        "pointsman.first_byte_seconds": record.first_byte,
    }
    if record.tokens is not None:
        found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"] = record.tokens
    if record.routed is not None:
        decision = record.routed.decision
        found |= {
            "gen_ai.response.model": decision.model,
            "pointsman.category": decision.category,
            "pointsman.confidence": decision.confidence,
            "pointsman.reason": decision.reason,
            "pointsman.rule": decision.rule,
            "pointsman.arm": decision.arm,
            "pointsman.draw": None if decision.arm is None else draw_of(record.routed),
        }
    found |= {f"pointsman.{phase}_seconds": seconds for phase, seconds in record.phases.items()}
    return {
        name: cut(value, MAX_NAME_BYTES) if isinstance(value, str) and name != "pointsman.error" else value
        for name, value in found.items()
        if value is not None
    }
