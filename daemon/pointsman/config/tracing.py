"""Define the destination of the spans of requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pointsman.config.address import check_url
from pointsman.config.option import option
from pointsman.config.source_map import SourceMap
from pointsman.errors import Problem


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


def problems(options: TracingOptions, source_map: SourceMap) -> Iterator[Problem]:
    """Yield the problems of the collector's URL."""
    if options.endpoint is None:
        return
    try:
        check_url(options.endpoint)
    except ValueError as error:
        secret = "@" in options.endpoint
        shown = "one with credentials" if secret else f'"{options.endpoint}"'
        fix = "remove them; OTEL_EXPORTER_OTLP_HEADERS in the environment is their place" if secret else str(error)
        yield source_map.problem(("endpoint",), f"expected a URL of a collector, found {shown}", fix)
