"""Check the destination of spans."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.config.address import check_url
from pointsman.config.model import Config
from pointsman.config.source_map import SourceMap
from pointsman.errors import Problem


def tracing_problems(config: Config, source_map: SourceMap) -> Iterator[Problem]:
    """Yield the problems of the collector's URL."""
    endpoint = config.pointsman.tracing.endpoint
    if endpoint is None:
        return
    try:
        check_url(endpoint)
    except ValueError as error:
        secret = "@" in endpoint
        shown = "one with credentials" if secret else f'"{endpoint}"'
        fix = "remove them; OTEL_EXPORTER_OTLP_HEADERS in the environment is their place" if secret else str(error)
        message = f"expected a URL of a collector, found {shown}"
        yield source_map.problem(("pointsman", "tracing", "endpoint"), message, fix)
