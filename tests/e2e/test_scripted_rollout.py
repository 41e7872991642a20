"""A whole rollout: in shadow, with a canary, compared, for all; then a bad canary that is rolled back by itself."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from pointsman.classify.artifact import load
from pointsman.classify.classifier import Classifier
from pointsman.config.model import ClassifierOptions
from support import toy_artifact
from support.daemon import Daemon, run_daemon
from support.fake_vllm import completion, run_fake_vllm
from support.lora_vllm import BASE, LoraVllm
from support.process import eventually
from support.service import CHAT, chat, shipped_config

STABLE, GOOD, BAD = "technical-lora", "technical-v2", "technical-v3"
WRAPPERS = (
    "{ask}",
    "<system-reminder>\nThe weather is fine. Ask the landlord.\n</system-reminder>\n{ask}",
    "<context>\nThe landlord must return the deposit.\n</context>\n\nQuestion: {ask}",
    "Use the following context to answer.\n\nContext:\nBlood pressure is measured twice.\n\nQuestion: {ask}",
)
"""What clients put around a question; the material in them is about other categories."""


def prompts() -> Iterator[str]:
    """Wrapped questions of one category, each the first turn of a conversation of its own."""
    for number, wrapper in zip(itertools.count(), itertools.cycle(WRAPPERS), strict=False):
        yield wrapper.format(ask=f"How do I read file number {number} in python?")


async def failing_by_model(request: web.Request, body: bytes) -> web.StreamResponse:
    """The planted difference: the adapter in use fails for three questions in ten, and the bad one for all."""
    model, text = json.loads(body)["model"], json.loads(body)["messages"][-1]["content"]
    number = int(text.rpartition("file number ")[2].split()[0])
    if model == BAD or (model == STABLE and number % 10 < 3):
        return web.json_response({"error": {"message": "out of order", "code": 500}}, status=500)
    return await completion(request, body)


@dataclass
class Traffic:
    """Clients who ask, and what their answers say."""

    daemon: Daemon
    texts: Iterator[str] = field(default_factory=prompts)

    async def send(self, count: int, clients: int = 8) -> Counter[tuple[str, str]]:
        """Ask so many questions; return how often a model was chosen for a reason."""
        found: Counter[tuple[str, str]] = Counter()
        texts = iter(list(itertools.islice(self.texts, count)))

        async def client(http: aiohttp.ClientSession) -> None:
            for text in texts:
                async with http.post(self.daemon.base_url + CHAT, json=chat(text)) as answer:
                    await answer.read()
                    found[answer.headers["x-vsr-selected-model"], answer.headers["x-pointsman-reason"]] += 1

        async with aiohttp.ClientSession() as http:
            await asyncio.gather(*(client(http) for _ in range(clients)))
        return found

    def canaries(self) -> int:
        """How many conversations the canary has had."""
        return sum(line.get("arm") == "canary" for line in self.daemon.log_lines())


async def pointsman(daemon: Daemon, *arguments: str) -> str:
    command = [sys.executable, "-m", "pointsman", *arguments, "--config", str(daemon.config)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def config(port: int, artifact: Path) -> dict[str, Any]:
    made = shipped_config(port)
    made["classifier"]["category_model"]["model_id"] = str(artifact)
    made["model_config"][BASE]["loras"] += [{"name": GOOD}, {"name": BAD}]
    made["pointsman"] = {"routing": {"mode": "shadow"}}
    return made


async def change(daemon: Daemon, routing: dict[str, Any], answers: str = STABLE) -> None:
    """Edit the file as an operator would, and wait until it is applied."""
    tree = yaml.safe_load(daemon.config.read_text())
    tree["pointsman"]["routing"] = routing
    tree["categories"][0]["model_scores"][0]["lora_name"] = answers
    before = sum(line["event"] == "reload" for line in daemon.log_lines())
    daemon.config.write_text(yaml.safe_dump(tree))

    def applied() -> bool:
        lines = [line for line in daemon.log_lines() if line["event"] == "reload"]
        return len(lines) > before and bool(lines[-1]["result"] == "applied")

    await eventually(applied, "the changed config is applied", within_s=20)


def with_canary(adapter: str, percent: float) -> dict[str, Any]:
    return {"categories": {"technical": {"canary": {"adapter": adapter, "percent": percent}}}}


async def test_a_rollout_from_shadow_to_a_bad_canary(tmp_path: Path) -> None:
    artifact = toy_artifact.build(tmp_path / "toy")
    Classifier(load(artifact), ClassifierOptions()).close()  # measured now, not under load
    vllm = LoraVllm(listed=[STABLE, GOOD, BAD, "medical-lora", "legal-lora"], answer=failing_by_model)
    async with (
        run_fake_vllm(vllm),
        run_daemon(config(vllm.port, artifact), tmp_path, env={"STATE_DIRECTORY": str(tmp_path / "state")}) as daemon,
    ):
        traffic = Traffic(daemon)
        assert await traffic.send(1_000) == {(BASE, "shadow"): 1_000}
        await eventually(lambda: len(would(daemon)) == 1_000, "all are logged")
        assert set(would(daemon)) == {STABLE}, "a wrapper led to another category"

        await change(daemon, with_canary(GOOD, 10))
        first = await traffic.send(700)
        while traffic.canaries() < 60:
            first += await traffic.send(100)
        assert set(first) == {(STABLE, "classified"), (GOOD, "classified")}
        assert 0.05 < first[GOOD, "classified"] / first.total() < 0.2
        told = await pointsman(daemon, "compare", "canary", "stable", "--log", str(daemon.log))
        assert "verdict: canary fails less often than stable" in told

        await pointsman(daemon, "canary", "promote", "technical")
        assert await traffic.send(50) == {(GOOD, "classified"): 50}

        await change(daemon, with_canary(BAD, 50), GOOD)
        for _ in range(20):
            await traffic.send(50)
            if "gets 0 %" in await pointsman(daemon, "canary"):
                break
        (line,) = [one for one in daemon.log_lines() if one["event"] == "canary"]
        assert (line["adapter"], line["state"], line["level"]) == (BAD, "rolled_back", "warning")
        assert await traffic.send(50) == {(GOOD, "classified"): 50}


def would(daemon: Daemon) -> list[Any]:
    """What would have answered the requests that were not routed."""
    return [line["would"]["model"] for line in daemon.log_lines() if line.get("would")]
