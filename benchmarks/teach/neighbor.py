"""Measure what users notice of a teaching: python -m teach.neighbor

The first bytes of streams through the service, before two real vLLMs with a tiny model, in turns while nothing else is
asked and while `pointsman teach` asks. Writes benchmarks/results/teach-neighbor.json and .md.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from markdown import table
from provenance import processor, provenance
from read_labels import PROMPTS
from target import at_most, quantile, ratio

from support.daemon import run_daemon
from support.process import eventually
from support.service import chat, shipped_config
from support.vllm_server import DEFAULT_VENV, VllmServer, build_model, run_vllm

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks" / "results" / "teach-neighbor"
ROUNDS, SECONDS = 10, 30.0
PER_SECOND = 4.0
"""Requests of users, at random times."""
ASKS = [json.loads(line)["text"] for line in PROMPTS.read_text().splitlines()]
"""Different ones, so that the caches of prefixes and decisions do not answer for the models."""
TOKENS = 16
"""Of each answer."""
BY_PRIORITY = ("--scheduling-policy", "priority")
ADAPTERS = 12
DESCRIPTIONS = (
    "Answers tenants about rent, repairs and neighbors.",
    "Turns a question into a query for our database.",
    "Writes the summary of a stay for the family doctor.",
)


def main() -> None:
    venv = Path(os.environ.get("VLLM_VENV", DEFAULT_VENV))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_model(venv, folder / "tiny-llama")
        with contextlib.ExitStack() as stack:
            servers = [
                stack.enter_context(run_vllm(venv, folder / "tiny-llama", folder / f"{n}.log", args=BY_PRIORITY))
                for n in range(2)
            ]
            rounds = asyncio.run(measured(servers, folder))
    result = provenance() | {"per_second": PER_SECOND, "tokens": TOKENS, "seconds": SECONDS, "rounds": rounds}
    RESULT.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    RESULT.with_suffix(".md").write_text("\n".join(page(result)) + "\n")


async def measured(servers: list[VllmServer], folder: Path) -> list[dict[str, dict[str, float]]]:
    """Return the figures of each round, in quiet and while it is taught."""
    made = config(servers)
    found: list[dict[str, dict[str, float]]] = []
    async with run_daemon(made, folder) as daemon, aiohttp.ClientSession() as http:
        await first_bytes(http, daemon.base_url, 5.0)  # warms both up
        for number in range(ROUNDS):
            quiet = await first_bytes(http, daemon.base_url, SECONDS)
            async with teaching(written(made, folder / f"state-{number}")):
                taught = await first_bytes(http, daemon.base_url, SECONDS)
            found.append({"quiet": figures(quiet), "teaching": figures(taught)})
    return found


def config(servers: list[VllmServer]) -> dict[str, Any]:
    """Return the shipped config with two endpoints, and with described categories beside its own."""
    made = shipped_config(servers[0].port)
    base = made["default_model"]
    made["vllm_endpoints"] = [
        {"name": f"vllm{n}", "address": "127.0.0.1", "port": server.port} for n, server in enumerate(servers)
    ]
    made["model_config"][base]["preferred_endpoints"] = ["vllm0", "vllm1"]
    entry = {"model": base, "lora_name": servers[0].adapters[0], "use_reasoning": False}
    made["categories"] += [
        {
            "name": f"desk-{n}",
            "description": f"{DESCRIPTIONS[n % len(DESCRIPTIONS)]} Team {n}.",
            "model_scores": [entry],
        }
        for n in range(ADAPTERS)
    ]
    made.setdefault("pointsman", {}).setdefault("relay", {})["scheduling_policy"] = "priority"
    return made


async def first_bytes(http: aiohttp.ClientSession, url: str, seconds: float) -> list[float]:
    """Return the seconds until the first byte of each answer to users who ask for so long."""
    draws = random.Random(0)
    ends = time.monotonic() + seconds
    asking: list[asyncio.Task[float]] = []
    asks = itertools.cycle(ASKS)
    while (left := ends - time.monotonic()) > 0:
        asking.append(asyncio.create_task(first_byte(http, url, next(asks))))
        await asyncio.sleep(min(left, draws.expovariate(PER_SECOND)))
    return await asyncio.gather(*asking)


async def first_byte(http: aiohttp.ClientSession, url: str, text: str) -> float:
    """Return the seconds until the first byte of an answer, which is read to its end."""
    start = time.monotonic()
    async with http.post(f"{url}/v1/chat/completions", json=chat(text, stream=True, max_tokens=TOKENS)) as answer:
        answer.raise_for_status()
        await answer.content.readany()
        seconds = time.monotonic() - start
        await answer.read()
    return seconds


def written(made: dict[str, Any], folder: Path) -> Path:
    """Return the config in a new folder."""
    folder.mkdir()
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(made))
    return file


@contextlib.asynccontextmanager
async def teaching(file: Path) -> AsyncIterator[None]:
    """Let `pointsman teach` ask, again and again, from its first answer on."""
    state = file.parent
    notes = state / "improve" / "teaching.jsonl"

    async def ask() -> None:
        while True:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "pointsman", "teach", "--config", str(file), "--rows", "100"),
                env=os.environ | {"STATE_DIRECTORY": str(state)},
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            notes.unlink(missing_ok=True)

    task = asyncio.create_task(ask())
    try:
        await eventually(notes.exists, "the model has answered", timeout_s=120)
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def figures(seconds: list[float]) -> dict[str, float]:
    """Return the number of answers, and the median and 95th percentile of their first bytes in milliseconds."""
    return {
        "answers": len(seconds),
        "p50_ms": round(quantile(seconds, 0.5) * 1000, 1),
        "p95_ms": round(quantile(seconds, 0.95) * 1000, 1),
    }


def page(result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the page."""
    rounds = result["rounds"]
    each = {way: {name: [one[way][name] for one in rounds] for name in rounds[0][way]} for way in rounds[0]}
    p95 = ratio(each["teaching"]["p95_ms"], each["quiet"]["p95_ms"])
    yield from [
        "# What users notice of a teaching",
        "",
        f"`make bench-teach-neighbor`: {result['per_second']:g} streams a second at random times through the service",
        f"before two real vLLMs with a tiny model on the same CPU, in {len(rounds)} rounds of",
        f"{result['seconds']:g} s in quiet and {result['seconds']:g} s while `pointsman teach` asks one of them, both",
        f"with priority scheduling. {processor(result['machine'])}, commit {result['commit']}.",
        "",
        *table(
            ("", "answers", "first byte, median ms", "first byte, p95 ms"),
            (
                [
                    way,
                    str(sum(one["answers"])),
                    *(f"{statistics.median(one[name]):.1f}" for name in ("p50_ms", "p95_ms")),
                ]
                for way, one in each.items()
            ),
        ),
        "",
        "| what | measured | wanted | |",
        "| --- | --- | --- | --- |",
        at_most("p95 of the first byte while teaching, by that in quiet, median of the rounds", 1.2, {"": p95}).row(),
    ]


if __name__ == "__main__":
    main()
