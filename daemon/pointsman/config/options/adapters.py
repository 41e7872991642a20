"""Define what is done about the adapters that each vLLM serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pointsman.config.options.option import EMPTY, option


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
    tools: Mapping[str, bool] = option(
        "By adapter: `false` if it was not trained to call tools. A request that carries tools then goes to the next "
        "entry or the base model.",
        EMPTY,
    )
