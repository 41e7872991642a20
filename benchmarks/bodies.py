"""Measure how long bodies of the greatest permitted size delay another client's `/health`.

The prober is a process of its own; the sender and the upstream share another. Writes benchmarks/results/bodies.json and
bodies.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from provenance import processor, provenance
from startup import RESULT
from target import quantile

from support.bodies import MIB, worst
from support.health_prober import probing
from support.hostile import run_hostile
from support.raw_client import post
from support.relay import Relay, run_relay

SIZE = 32 * MIB - 1024
ROUNDS = 3
QUIET_S = 2.0
ANSWER_S = 120.0
TARGET_MS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        result = provenance() | asyncio.run(measure(Path(folder), parser.parse_args().rounds))
    RESULT.with_name("bodies.json").write_text(json.dumps(result, indent=2) + "\n")
    table = "\n".join(rendered(result)) + "\n"
    RESULT.with_name("bodies.md").write_text(table)
    print(table)
    sys.exit(any(row["max_ms"] > TARGET_MS for row in result["bodies"].values()))


async def measure(folder: Path, rounds: int) -> dict[str, Any]:
    """Return the delays without a body and with each."""
    delays: dict[str, list[float]] = {}
    async with run_hostile() as upstream, run_relay(folder, upstream) as relay:
        async with probing(relay.url) as quiet:
            await asyncio.sleep(QUIET_S)
        bodies = worst(SIZE)
        for _ in range(rounds):
            for name, body in bodies.items():
                found = await sent(relay, body)
                delays.setdefault(name, []).extend(found)
                print(name, f"{max(found):.1f} ms", flush=True)
    return {
        "size": SIZE,
        "rounds": rounds,
        "quiet": spread(quiet),
        "bodies": {name: spread(found) for name, found in delays.items()},
    }


async def sent(relay: Relay, body: bytes) -> list[float]:
    """Return the delays of `/health` while a body is sent, read, routed and answered."""
    async with probing(relay.url) as delays, relay.client() as client:
        client.send(post(body))
        got = await client.answer(within_s=ANSWER_S)
    if got.status not in (200, 400):
        raise RuntimeError(f"the daemon answered {got.status}")
    return delays


def spread(delays: list[float]) -> dict[str, float]:
    """Return count, quantiles and maximum, in milliseconds."""
    quantiles = {f"p{share * 100:g}_ms": round(quantile(delays, share), 2) for share in (0.5, 0.99)}
    return {"probes": len(delays), **quantiles, "max_ms": round(max(delays), 2)}


def rendered(result: dict[str, Any]) -> list[str]:
    """Return the result as a Markdown page."""
    rows = {"none": result["quiet"], **result["bodies"]}
    return [
        "# How long a body delays other clients",
        "",
        "Delay of `GET /health`, asked without a pause by another client, while one body of 32",
        "MiB (the default `server.max_body_bytes`) is sent, read, routed and answered, by what it is full of:",
        f"{result['rounds']} rounds on {processor(result['machine'])}, commit {result['commit']}",
        f"(`make bench-bodies`). The target is at most {TARGET_MS} ms.",
        "",
        "| body full of | probes | p50 ms | p99 ms | max ms |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {name} | {row['probes']} | {row['p50_ms']:.1f} | {row['p99_ms']:.1f} | {row['max_ms']:.1f} |"
            for name, row in rows.items()
        ),
    ]


if __name__ == "__main__":
    main()
