"""Adapters that come and go at a real vLLM: switched off, killed, restarted, broken, and all of it under load.

Each test is a step of one story, for vLLM takes its time to start: it runs without runtime loading at first, is killed,
and comes back with it. It starts with the technical adapter alone; the others are Pointsman's to load.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from support.daemon import Daemon, run_daemon
from support.metrics import scrape, until
from support.process import eventually, kill_group, reserve_port
from support.service import CHAT, MEDICAL, chat, shipped_config
from support.vllm_server import VllmServer, run_vllm

pytestmark = [pytest.mark.vllm, pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]

BASE = "llama2-7b"
ENDPOINT = "vllm-primary"
LOADED_SECONDS = 20.0


@dataclass
class Story:
    """The daemon, and the vLLM that is there at the moment."""

    venv: Path
    model: Path
    logs: Path
    port: int
    daemon: Daemon
    http: aiohttp.ClientSession
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    vllm: VllmServer | None = None

    def start(self, *, runtime_loading: bool) -> None:
        """vLLM, with the technical adapter alone."""
        log = self.logs / f"vllm-{runtime_loading}.log"
        self.vllm = self.stack.enter_context(
            run_vllm(
                self.venv,
                self.model,
                log,
                port=self.port,
                adapters=["technical-lora"],
                runtime_loading=runtime_loading,
            )
        )

    def kill(self) -> None:
        """As the kernel does when memory is short."""
        assert self.vllm is not None
        kill_group(self.vllm.process.pid)
        self.vllm.process.wait()
        self.stack.close()

    async def ask(self, text: str, model: str = "MoM", base_url: str | None = None) -> tuple[int, Any, str | None]:
        """Status, body, and the model that the headers name."""
        body = chat(text, model, temperature=0, max_tokens=8)
        async with self.http.post((base_url or self.daemon.base_url) + CHAT, json=body) as response:
            return response.status, await response.json(), response.headers.get("x-vsr-selected-model")

    async def answers(self, text: str) -> str:
        """The model that answers, as vLLM says."""
        status, body, named = await self.ask(text)
        assert (status, body["model"]) == (200, named)
        return str(named)

    async def state(self, adapter: str) -> Any:
        async with self.http.get(self.daemon.admin_url + "/adapters") as response:
            (endpoint,) = await response.json()
        (found,) = [one for one in endpoint["adapters"] if one["name"] == adapter]
        return found

    async def reaches(self, adapter: str, state: str) -> Any:
        """Wait until an adapter is in this state; its entry."""
        async with asyncio.timeout(LOADED_SECONDS):
            while (found := await self.state(adapter))["state"] != state:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.05)
        return found

    async def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pointsman", "adapters", *arguments, "--config", str(self.daemon.config)]
        return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, timeout=60)

    def behind_our_back(self, verb: str, **request: str) -> None:
        """Change vLLM's adapters as somebody else would."""
        url = f"http://127.0.0.1:{self.port}/v1/{verb}_lora_adapter"
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(request).encode(), headers)) as answer:
            assert answer.status == 200


@dataclass
class Load:
    """Clients that ask one after another until they are told to stop."""

    story: Story
    models: Counter[str] = field(default_factory=Counter)
    failures: list[Any] = field(default_factory=list)

    async def client(self) -> None:
        while True:
            status, body, named = await self.story.ask(MEDICAL)
            if status != 200 or named is None or body["model"] != named:
                self.failures.append((status, named, body))
                await asyncio.sleep(0.1)  # as a client does before it tries again
            else:
                self.models[named] += 1

    @contextlib.asynccontextmanager
    async def running(self, clients: int = 8) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.client()) for _ in range(clients)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(outcome, asyncio.CancelledError), outcome

    async def gets(self, model: str, more: int = 20) -> None:
        """Wait until this model has answered so often again."""
        wanted = self.models[model] + more
        await eventually(lambda: self.models[model] >= wanted, f"{model} answers", timeout_s=LOADED_SECONDS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(vllm_venv: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Story]:
    folder = tmp_path_factory.mktemp("story")
    config = shipped_config(reserve_port())
    loras = config["model_config"][BASE]["loras"]
    for lora in loras:
        if lora["name"] != "technical-lora":
            lora["path"] = str(tiny_model / "adapters" / lora["name"])
    loras += [{"name": name, "path": str(tiny_model / "faulty" / name)} for name in ("bigrank-lora", "broken-lora")]
    loras.append({"name": "ghost-lora", "path": str(tiny_model / "nowhere")})
    config["pointsman"] = {"adapters": {"poll_interval_ms": 200, "load": True}, "relay": {"health_interval_ms": 200}}
    port = config["vllm_endpoints"][0]["port"]
    async with run_daemon(config, folder) as daemon, aiohttp.ClientSession() as http:
        story = Story(vllm_venv, tiny_model, folder, port, daemon, http)
        with story.stack:
            yield story


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def switched_off(story: Story) -> Story:
    """vLLM runs without runtime loading."""
    await asyncio.to_thread(story.start, runtime_loading=False)
    await until(story.daemon, "endpoint_reachable", 1, endpoint=ENDPOINT)  # at which what failed before is tried again
    await story.reaches("medical-lora", "failed")
    return story


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def restarted(switched_off: Story) -> Story:
    """It was killed under load, and runs again, with runtime loading."""
    story = switched_off
    load = Load(story)
    async with load.running(clients=2):
        await load.gets(BASE)
        story.kill()
        await until(story.daemon, "endpoint_reachable", 0, endpoint=ENDPOINT)
        await asyncio.to_thread(story.start, runtime_loading=True)
        await story.reaches("medical-lora", "served")
        await story.reaches("legal-lora", "served")
        await load.gets("medical-lora")
    # While it was gone: no connection, or one that broke, or vLLM's last words. Never a 404 for what it has lost.
    assert {status for status, *_ in load.failures} - {500} == {502}
    return story


async def test_after_a_restart_missing_adapters_are_loaded_and_answer_as_themselves(restarted: Story) -> None:
    assert await restarted.answers(MEDICAL) == "medical-lora"
    _, routed, _ = await restarted.ask(MEDICAL)
    assert routed["choices"][0]["message"]["content"]
    direct = f"http://127.0.0.1:{restarted.port}"
    texts = {
        (await restarted.ask(MEDICAL, name, direct))[1]["choices"][0]["message"]["content"]
        for name in (BASE, "technical-lora", "medical-lora", "legal-lora")
    }
    assert len(texts) == 4
    metrics = await scrape(restarted.daemon)
    assert metrics.total("adapter_changes_total", outcome="loaded") >= 2
    assert metrics.total("adapters_configured", endpoint=ENDPOINT) == 6
    assert metrics.total("adapters_served", endpoint=ENDPOINT) == 3


@pytest.mark.parametrize(
    ("adapter", "expected"),
    [
        ("bigrank-lora", "LoRA rank 64 is greater than max_lora_rank 16"),
        ("broken-lora", "Missing required configuration fields"),
        ("ghost-lora", "No adapter found for"),
    ],
)
async def test_an_adapter_that_vllm_refuses_is_told_in_its_words_and_harms_nobody(
    restarted: Story, adapter: str, expected: str
) -> None:
    found = await restarted.reaches(adapter, "failed")
    assert expected in found["error"]
    again = await restarted.cli("load", adapter)
    assert (again.returncode, expected in again.stdout) == (1, True)
    assert (await restarted.state(adapter))["failures"] > found["failures"]
    assert f"{expected}" in (await restarted.cli()).stdout
    assert await restarted.answers(MEDICAL) == "medical-lora"


async def test_adapters_are_removed_and_added_under_load_by_hand_and_nothing_fails(restarted: Story) -> None:
    load = Load(restarted)
    async with load.running():
        for _ in range(2):
            await load.gets("medical-lora")
            assert (await restarted.cli("unload", "medical-lora")).returncode == 0
            await load.gets(BASE)
            assert (await restarted.state("medical-lora"))["state"] == "unloaded"
            assert (await restarted.cli("load", "medical-lora")).returncode == 0
        await load.gets("medical-lora")
    assert load.failures == []


async def test_an_adapter_that_somebody_removes_under_load_fails_no_request_and_is_loaded_again(
    restarted: Story,
) -> None:
    """Requests that are on their way to it meet vLLM's 404, and the base answers them."""
    before = (await scrape(restarted.daemon)).total("retries_total", reason="adapter")
    load = Load(restarted)
    async with load.running():
        async with asyncio.timeout(LOADED_SECONDS):
            while (await scrape(restarted.daemon)).total("retries_total", reason="adapter") == before:
                await load.gets("medical-lora")
                await asyncio.to_thread(restarted.behind_our_back, "unload", lora_name="medical-lora")
        await load.gets("medical-lora")
    assert load.failures == []
    assert load.models[BASE] > 0
