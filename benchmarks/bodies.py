"""Measure how long other clients are delayed by bodies of the greatest permitted size, and by those that do not come.

The prober is a process of its own, and so is a flood of heads; the sender and the upstream share another. Writes
benchmarks/results/bodies.json and bodies.md.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from markdown import publish, table
from provenance import processor, provenance
from startup import RESULT
from target import quantile

from support.bodies import MIB, worst
from support.head_flood import HEADS, flooding
from support.health_prober import probing
from support.hostile import run_hostile
from support.metrics import until
from support.raw_client import chat, post, request_head
from support.relay import Relay, run_relay

SIZE = 32 * MIB - 1024
ROUNDS = 3
QUIET_SECONDS = 2.0
ANSWER_SECONDS = 120.0
TARGET_MS = 50
FLOODS = {
    "heads alone": (request_head(100), {}),
    "heads and 64 KiB": (request_head(66_000) + b" " * 65_536, {}),
    "heads alone, refilled": (request_head(100), {"body_timeout_ms": 2_000}),
    "heads and 64 KiB, refilled": (request_head(66_000) + b" " * 65_536, {"body_timeout_ms": 2_000}),
}
"""The data of each unfinished request, and options of `pointsman.server`.

Each request that is cut off is sent anew, and with a short timeout of bodies all are, each two seconds.
"""
FLOOD_SECONDS = 10.0
ARRIVING = 1_024
"""Half of the default `server.max_connections`: the number of bodies that may arrive at once."""
COLUMNS = ("probes", "p50 ms", "p99 ms", "max ms")
FLOOD_TARGET_MS = 100
QUESTION = post(chat())


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        result = provenance() | asyncio.run(measure(Path(folder)))
    publish(RESULT.with_name("bodies.json"), result, rendered(result))
    slow = [row for row in result["bodies"].values() if row["max_ms"] > TARGET_MS]
    slow += [row for row in result["floods"].values() if row["max_ms"] > FLOOD_TARGET_MS]
    sys.exit(bool(slow))


async def measure(folder: Path) -> dict[str, Any]:
    """Return the delays without a body and with each."""
    delays: dict[str, list[float]] = {}
    async with run_hostile() as upstream, run_relay(folder, upstream) as relay:
        async with probing(relay.url) as quiet:
            await asyncio.sleep(QUIET_SECONDS)
        bodies = worst(SIZE)
        for _ in range(ROUNDS):
            for name, body in bodies.items():
                found = await sent(relay, body)
                delays.setdefault(name, []).extend(found)
                print(name, f"{max(found):.1f} ms", flush=True)
    floods = {name: await flooded(folder, data, server) for name, (data, server) in FLOODS.items()}
    return {
        "size": SIZE,
        "rounds": ROUNDS,
        "quiet": spread(quiet),
        "bodies": {name: spread(found) for name, found in delays.items()},
        "floods": {name: spread(found) for name, found in floods.items()},
    }


async def flooded(folder: Path, data: bytes, server: Mapping[str, int]) -> list[float]:
    """Return the delays of a chat that comes whole, from another address than the flood of unfinished requests."""
    request = folder / "request"
    request.write_bytes(data)
    async with (
        run_hostile() as upstream,
        run_relay(folder, upstream, server=server) as relay,
        flooding(relay.url, request),
    ):
        await until(relay.daemon, "bodies_arriving", ARRIVING)
        async with probing(relay.url, QUESTION) as delays:
            await asyncio.sleep(FLOOD_SECONDS)
    print(f"flood {max(delays):.1f} ms", flush=True)
    return delays


async def sent(relay: Relay, body: bytes) -> list[float]:
    """Return the delays of `/health` while a body is sent, read, routed and answered."""
    async with probing(relay.url) as delays, relay.client() as client:
        client.send(post(body))
        got = await client.answer(timeout_s=ANSWER_SECONDS)
    if got.status not in (200, 400):
        raise RuntimeError(f"the daemon answered {got.status}")
    return delays


def spread(delays: list[float]) -> dict[str, float]:
    """Return count, quantiles and maximum, in milliseconds."""
    quantiles = {f"p{share * 100:g}_ms": round(quantile(delays, share), 2) for share in (0.5, 0.99)}
    return {"probes": len(delays), **quantiles, "max_ms": round(max(delays), 2)}


def rendered(result: dict[str, Any]) -> list[str]:
    """Return the result as a Markdown page."""
    return [
        "# How long a body delays other clients",
        "",
        "Delay of `GET /health`, asked without a pause by another client, while one body of 32",
        "MiB (the default `server.max_body_bytes`) is sent, read, routed and answered, by what it is full of:",
        f"{result['rounds']} rounds on {processor(result['machine'])}, commit {result['commit']}",
        f"(`make bench-bodies`). The target is at most {TARGET_MS} ms.",
        "",
        *table(["body full of", *COLUMNS], _rows({"none": result["quiet"], **result["bodies"]})),
        "",
        "## Bodies that do not come",
        "",
        f"Delay of a chat that comes whole, asked without a pause, while another address has {HEADS:,} requests there",
        f"whose bodies never end. The target is at most {FLOOD_TARGET_MS} ms.",
        "",
        *table(["requests", *COLUMNS], _rows(result["floods"])),
    ]


def _rows(spreads: Mapping[str, Mapping[str, float]]) -> Iterator[list[str]]:
    for name, row in spreads.items():
        yield [name, str(row["probes"]), *(f"{row[column]:.1f}" for column in ("p50_ms", "p99_ms", "max_ms"))]


if __name__ == "__main__":
    main()
