"""Define the management of the adapters that each vLLM serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pointsman.config.option import EMPTY, option
from pointsman.config.source_map import SourceMap
from pointsman.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterOptions:
    poll_interval_ms: int = option(
        "Interval of polling each endpoint's `/v1/models`; 0 means never.", 10_000, minimum=0
    )
    load: bool = option(
        "Load adapters that have a `path` into each endpoint that serves their base model but not them; "
        "vLLM must run with `VLLM_ALLOW_RUNTIME_LORA_UPDATING=True`.",
        False,
    )
    failing_share: float = option(
        "A model is failing when 6 of its newest 20 requests failed, and their share exceeds by this much that "
        "of its base model, or of all others if that has no traffic.",
        0.25,
        minimum=0.05,
        maximum=1,
    )
    slow_factor: float = option(
        "A model is slow when the first byte of its newest 20 requests takes this many times as long (median) as that "
        "of its base model, or of its other adapters if that has no traffic, and a second longer.",
        5.0,
        minimum=1.5,
    )
    tools: Mapping[str, bool] = option(
        "By adapter: `false` if it was not trained to call tools. A request that carries tools then goes to the next "
        "entry or the base model.",
        EMPTY,
    )


def problems(options: AdapterOptions, source_map: SourceMap) -> Iterator[Problem]:
    """Yield the problem that adapters are to be loaded without polls."""
    if options.load and not options.poll_interval_ms and source_map.known():
        message = "adapters are loaded when a poll finds them missing, but poll_interval_ms is 0, so there are no polls"
        yield source_map.problem(("load",), message, "remove poll_interval_ms or load")
