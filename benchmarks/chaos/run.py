"""Run one daemon, two upstreams and many clients, and judge the evidence."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

from chaos.clients import RandomClients
from chaos.upstream import ChaoticUpstream
from chaos.verdict import figures, judge
from chaos.watch import EvidenceCollector
from support import toy_artifact
from support.daemon import run_daemon

_LIMITS = {
    "connect_timeout_ms": 1000,
    "first_byte_timeout_ms": 1500,
    "idle_timeout_ms": 1500,
    "health_interval_ms": 500,
    "breaker_open_ms": 500,
}


async def run(folder: Path, seconds: float, seed: int) -> dict[str, Any]:
    """Run chaos for this many seconds and return the verdict; config and log of the daemon are in `folder`."""
    upstreams = [ChaoticUpstream(random.Random(f"{seed} {name}")) for name in "ab"]
    faults: list[str] = []
    found: dict[str, Any] = {}
    try:
        async with contextlib.AsyncExitStack() as stack:
            for upstream in upstreams:
                await stack.enter_async_context(upstream.listening())
            ports = [upstream.port for upstream in upstreams]
            daemon = await stack.enter_async_context(run_daemon(config(folder, *ports), folder))
            watch = await EvidenceCollector.begin(daemon, upstreams)
            for upstream in upstreams:
                upstream.calm = False
            clients = RandomClients(daemon.base_url, random.Random(seed))
            evidence = await watch.end(clients, await watch.chaos(clients, seconds, lapses=True))
            faults = [str(fault) for fault in judge(evidence)]
            found = figures(evidence)
    except AssertionError:
        if not faults:  # otherwise the faults already contain the log's problems
            raise
    return {"faults": faults} | found


def config(folder: Path, *ports: int) -> dict[str, Any]:
    """Return a config with two adapters, a toy classifier and short timeouts."""

    def category(label: str, lora: str) -> dict[str, Any]:
        return {"name": label, "model_scores": [{"model": "base", "lora_name": lora, "use_reasoning": False}]}

    return {
        "classifier": {"category_model": {"model_id": str(toy_artifact.build(folder / "toy"))}},
        "vllm_endpoints": [
            {"name": name, "address": "127.0.0.1", "port": port} for name, port in zip("ab", ports, strict=True)
        ],
        "model_config": {"base": {"loras": [{"name": "law-lora"}, {"name": "code-lora"}]}},
        "categories": [category("law", "law-lora"), category("computer science", "code-lora")],
        "default_model": "base",
        "pointsman": {"classifier": {"threads": 1}, "relay": _LIMITS, "adapters": {"poll_interval_ms": 1000}},
    }
