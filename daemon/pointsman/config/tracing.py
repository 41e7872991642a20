"""Define the destination of the spans of requests."""

from __future__ import annotations

from dataclasses import dataclass

from pointsman.config.option import option


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingOptions:
    endpoint: str | None = option(
        "URL of an OpenTelemetry collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`; each request "
        "becomes a span there. Needs the extra `otel`. By default nothing is traced, and a client's `traceparent` "
        "is passed to vLLM unchanged.",
        None,
    )
    sample: float = option(
        "Share of the traces that begin here that is exported; of a trace that a client began, the client decides.",
        1.0,
        minimum=0,
        maximum=1,
    )
