"""A whole rollout by the commands and files that an operator uses, of a service in a process of its own.

In shadow, with a canary whose failures are compared, for all; then with a bad canary, which the service rolls back. The
adapters are those of a fake vLLM. Its planted differences: the one in use fails for three questions in ten, the new one
for none, and the bad one for all.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from support.daemon import Daemon, run_daemon
from support.fake_vllm import completion, run_fake_vllm
from support.lora_vllm import BASE, LoraVllm
from support.process import eventually
from support.service import CHAT, shipped_config

STABLE, GOOD, BAD = "technical-lora", "technical-v2", "technical-v3"
NUMBER = re.compile(rb"file number (\d+)")
BATCH = 100
MAX_REQUESTS_UNTIL_VERDICT = 5_000
MAX_REQUESTS_UNTIL_ROLLBACK = 1_000

Chosen = Counter[tuple[str, str]]
"""The number of times that a model was chosen for a reason."""


def question(number: int) -> str:
    """Return a question of the category `technical`; its number tells the fake vLLM whether to fail."""
    return f"How do I read file number {number} in python?"


@dataclass
class Played:
    """The results."""

    shadow: Chosen
    would: Counter[str]
    """The models that would have answered in shadow."""
    canary: Chosen
    compared: str
    """The output of `pointsman compare` with a verdict, or at last."""
    promoted: Chosen
    bad: Chosen
    """Until the bad canary was rolled back."""
    rollbacks: list[dict[str, Any]]
    """The lines of the log about it."""
    after: Chosen


@dataclass
class _Rollout:
    """The service, and clients who ask it one question after another."""

    daemon: Daemon
    bodies: Iterator[bytes]
    clients: int = 8
    _headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    async def send(self, count: int) -> Chosen:
        found: Chosen = Counter()
        bodies = iter(list(islice(self.bodies, count)))

        async def client(http: aiohttp.ClientSession) -> None:
            for body in bodies:
                async with http.post(self.daemon.base_url + CHAT, data=body, headers=self._headers) as answer:
                    await answer.read()
                    found[answer.headers["x-vsr-selected-model"], answer.headers["x-pointsman-reason"]] += 1

        async with aiohttp.ClientSession() as http:
            await asyncio.gather(*(client(http) for _ in range(self.clients)))
        return found

    async def command(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "pointsman", *arguments, "--config", str(self.daemon.config)]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, timeout=60)
        if (done.returncode, done.stderr) != (0, ""):
            raise AssertionError(f"{' '.join(arguments)}: {done.returncode}, {done.stderr}")
        return done.stdout

    async def change(self, routing: dict[str, Any], answers: str = STABLE) -> None:
        """Edit the file, and wait until it is applied."""
        tree = yaml.safe_load(self.daemon.config.read_text())
        tree["pointsman"]["routing"] = routing
        tree["categories"][0]["model_scores"][0]["lora_name"] = answers
        before = len(self._lines("reload"))
        self.daemon.config.write_text(yaml.safe_dump(tree))

        def applied() -> bool:
            lines = self._lines("reload")
            return len(lines) > before and bool(lines[-1]["result"] == "applied")

        await eventually(applied, "the changed config is applied")

    async def until_verdict(self) -> tuple[Chosen, str]:
        """Send questions until canary and stable arm certainly differ, and look after each hundred."""
        found: Chosen = Counter()
        output = ""
        while "verdict: canary" not in output and found.total() < MAX_REQUESTS_UNTIL_VERDICT:
            found += await self.send(BATCH)
            output = await self.command("compare", "canary", "stable", "--log", str(self.daemon.log))
        return found, output

    async def until_rollback(self) -> Chosen:
        found: Chosen = Counter()
        while "gets 0 %" not in await self.command("canary") and found.total() < MAX_REQUESTS_UNTIL_ROLLBACK:
            found += await self.send(BATCH // 2)
        return found

    def rollbacks(self) -> list[dict[str, Any]]:
        return self._lines("canary")

    async def would(self, count: int) -> Counter[str]:
        """Return what would have answered the requests so far."""
        await eventually(lambda: len(self._lines("routing_decision")) >= count, "all are logged")
        return Counter(line.get("would", {}).get("model", BASE) for line in self._lines("routing_decision"))

    def _lines(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.daemon.log_lines() if line["event"] == event]


async def play(folder: Path, classifier: str, bodies: Iterator[bytes]) -> Played:
    """Play the whole rollout with these requests, the wrapped questions of one category each."""
    vllm = LoraVllm(listed=[STABLE, GOOD, BAD, "medical-lora", "legal-lora"], answer=_failing_by_model)
    env = {"STATE_DIRECTORY": str(folder / "state")}
    async with run_fake_vllm(vllm), run_daemon(_config(vllm.port, classifier), folder, env=env) as daemon:
        rollout = _Rollout(daemon, bodies)
        shadow = await rollout.send(1_000)
        would = await rollout.would(1_000)
        await rollout.change(_with_canary(GOOD, 10))
        canary, compared = await rollout.until_verdict()
        await rollout.command("canary", "promote", "technical")
        promoted = await rollout.send(BATCH)
        await rollout.change(_with_canary(BAD, 50), GOOD)
        bad = await rollout.until_rollback()
        after = await rollout.send(BATCH)
        return Played(shadow, would, canary, compared, promoted, bad, rollout.rollbacks(), after)


async def _failing_by_model(request: web.Request, body: bytes) -> web.StreamResponse:
    model, number = json.loads(body)["model"], NUMBER.search(body)
    if model == BAD or (model == STABLE and number is not None and int(number[1]) % 10 < 3):
        return web.json_response({"error": {"message": "out of order", "code": 500}}, status=500)
    return await completion(request, body)


def _config(port: int, classifier: str) -> dict[str, Any]:
    made = shipped_config(port)
    made["classifier"]["category_model"]["model_id"] = classifier
    made["model_config"][BASE]["loras"] += [{"name": GOOD}, {"name": BAD}]
    # Decisions must not depend on how busy the host is.
    made["pointsman"] = {"routing": {"mode": "shadow"}, "classifier": {"deadline_ms": 10_000}}
    return made


def _with_canary(adapter: str, percent: float) -> dict[str, Any]:
    return {"categories": {"technical": {"canary": {"adapter": adapter, "percent": percent}}}}
