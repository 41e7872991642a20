"""A service with twelve adapters of which one begins to fail and one to crawl: log, status, page and Prometheus."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from support.browser import Browser
from support.command import run_here
from support.daemon import run_daemon
from support.fake_vllm import MODELS, FakeVllm, completion, run_fake_vllm
from support.process import PATIENCE_SECONDS, eventually
from support.prometheus import query, run_prometheus
from support.quick_config import quick_config
from support.service import CHAT, MEDICAL, TECHNICAL, Service, chat

pytestmark = pytest.mark.asyncio(loop_scope="session")

BASE, FAILING, SLOW = "llama2-7b", "medical-lora", "technical-lora"
WELL = ["legal-lora", *(f"adapter-{number}" for number in range(9))]
NAMES = [BASE, FAILING, SLOW, *WELL]
SLOW_SECONDS = 3.0
ENOUGH = 20
WARNED_SECONDS = 60.0
FIRING_SECONDS = 120.0 + PATIENCE_SECONDS
OVER_SECONDS = 60.0 + PATIENCE_SECONDS
ALERTS = 'ALERTS{alertname=~"PointsmanErrors|PointsmanSlow|Pointsman(Model|Endpoint)(Failing|Slow)"}'


@dataclass
class Vllm:
    """Answers for all models within half a second, but for two of them while `ill`."""

    ill: bool = False
    answered: Counter[str] = field(default_factory=Counter)
    """How often, since `ill` last changed."""
    affected: dict[str, list[float]] = field(default_factory=lambda: {FAILING: [], SLOW: []})
    """When requests were asked for that were to fail, or to be slow."""

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        model = json.loads(body)["model"]
        affected = self.ill and model in self.affected
        if affected:
            self.affected[model].append(time.time())
        await asyncio.sleep(SLOW_SECONDS if affected and model == SLOW else random.uniform(0.1, 0.5))  # noqa: S311
        self.answered[model] += 1
        if affected and model == FAILING:
            return web.json_response({"error": {"message": "boom", "code": 500}}, status=500)
        return await completion(request, body)

    async def each_answers(self, models: list[str]) -> None:
        """Wait until each has answered as many requests as are judged."""
        self.answered.clear()
        await eventually(lambda: all(self.answered[name] >= ENOUGH for name in models), "twenty answers of each")


@dataclass(frozen=True)
class Scene:
    """A service under traffic, its vLLM, and the address of a Prometheus that scrapes it."""

    service: Service
    vllm: Vllm
    prometheus: str

    def said(self) -> list[tuple[str, str]]:
        """What was logged of models or endpoints, the oldest first."""
        lines = [line for line in self.service.daemon.log_lines() if line["event"] == "models"]
        return [(line.get("model") or line["endpoint"], line["state"]) for line in lines]

    async def unwell(self) -> list[tuple[str, str, str]]:
        watched = (await self.service.get("/status", admin=True)).json["unwell"]
        return [(one["kind"], one["name"], one["state"]) for one in watched]

    async def status(self) -> list[str]:
        """The lines of `pointsman status` after those of the service."""
        done = await asyncio.to_thread(run_here, "status", "--config", self.service.daemon.config)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[3:]

    def found(self, expression: str, *labels: str) -> set[tuple[str, ...]]:
        """The labels of what Prometheus answers."""
        return {tuple(one["metric"].get(name, "") for name in labels) for one in query(self.prometheus, expression)}

    async def only(self, model: str, gauge: str) -> None:
        """Wait until the gauge is, or was, 1 for this model and for no other."""
        await eventually(
            lambda: self.found(f"max_over_time({gauge}[10m]) == 1", "model") == {(model,)}, f"{gauge} is 1 for {model}"
        )

    async def alerts(self, state: str, expected: set[tuple[str, str]], timeout_s: float = PATIENCE_SECONDS) -> None:
        """Wait for alerts in a state; by name and model, all that are about errors or times."""
        wanted = {(name, model, state) for name, model in expected}
        what = f"the alerts are {wanted}"
        await eventually(
            lambda: self.found(ALERTS, "alertname", "model", "alertstate") == wanted, what, timeout_s=timeout_s
        )


@contextlib.asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    """All is well, and each model has been asked often enough to be judged."""
    parents = {name: None if name == BASE else BASE for name in NAMES}
    cards = [{"id": name, "object": "model", "parent": parent} for name, parent in parents.items()]
    vllm = Vllm()
    async with contextlib.AsyncExitStack() as stack:
        fake = await stack.enter_async_context(
            run_fake_vllm(FakeVllm(models=MODELS | {"data": cards}, answer=vllm.answer))
        )
        config = quick_config(fake.port)
        known = {lora["name"] for lora in config["model_config"][BASE]["loras"]}
        config["model_config"][BASE]["loras"] += [{"name": name} for name in WELL if name not in known]
        daemon = await stack.enter_async_context(run_daemon(config, folder))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        service = Service(daemon, fake, http)
        prometheus = await stack.enter_async_context(run_prometheus(daemon, folder))
        group = await stack.enter_async_context(asyncio.TaskGroup())
        asking = [(TECHNICAL, "MoM")] * 4 + [(MEDICAL, "MoM")] + [(TECHNICAL, name) for name in [BASE, *WELL]]
        tasks = [group.create_task(keep_asking(service, text, model)) for text, model in asking]
        try:
            await vllm.each_answers(NAMES)
            yield Scene(service, vllm, prometheus)
        finally:
            for task in tasks:
                task.cancel()


async def keep_asking(service: Service, text: str, model: str) -> None:
    while True:
        await service.post(CHAT, chat(text, model, stream=True))


async def fall_ill(watched: Scene) -> None:
    """Have the two fall ill: both are said in time, wherever an operator looks, and no other is."""
    daemon, affected = watched.service.daemon, watched.vllm.affected
    watched.vllm.ill = True
    await eventually(lambda: min(map(len, affected.values())) >= ENOUGH, "twenty of each are affected", timeout_s=60.0)
    for model, state in ((FAILING, "failing"), (SLOW, "slow")):
        line = await daemon.logged(
            "models", level="warning", model=model, state=state, timeout_s=WARNED_SECONDS + PATIENCE_SECONDS
        )
        assert datetime.datetime.fromisoformat(line["ts"]).timestamp() <= affected[model][ENOUGH - 1] + WARNED_SECONDS
    both: list[Any] = [("model", FAILING, "failing"), ("model", SLOW, "slow")]
    assert await watched.unwell() == both
    shown = await watched.status()
    assert [line.partition(",")[0] for line in shown[:2]] == [f"FAILING  {FAILING}", f"SLOW  {SLOW}"]
    for model, state in ((FAILING, "failing"), (SLOW, "slow")):
        await watched.only(model, f"pointsman_model_{state}")


async def the_page_shows(browser: Browser, rows: set[tuple[str, str]]) -> None:
    """Wait until these models, and no others, are failing or slow by a row or an item that begins with the name."""
    script = """
        return [...document.querySelectorAll("tr, li")].flatMap(({innerText}) => {
            const words = innerText.split(/[^-\\w]+/), name = words.find(one => arguments[0].includes(one));
            return name ? ["failing", "slow"].filter(one => words.includes(one)).map(word => [name, word]) : [];
        });
        """
    found: set[tuple[str, str]] = set()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (found := {tuple(row) for row in await browser.run(script, NAMES)}) != rows:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    assert found == rows, await browser.text()


BOTH = {("PointsmanModelFailing", FAILING), ("PointsmanModelSlow", SLOW)}


@pytest.mark.long
async def test_one_that_fails_and_one_that_is_slow_are_said_in_time_and_no_other(
    browser: Browser, tmp_path: Path
) -> None:
    async with scene(tmp_path) as watched:
        await browser.open(watched.service.daemon.admin_url)
        await fall_ill(watched)
        await the_page_shows(browser, {(FAILING, "failing"), (SLOW, "slow")})
        await watched.alerts("pending", BOTH)
        assert sorted(watched.said()) == [(FAILING, "failing"), (SLOW, "slow")]


@pytest.mark.nightly
async def test_their_alerts_fire_after_two_minutes_and_end_with_what_was_the_matter(
    browser: Browser, tmp_path: Path
) -> None:
    async with scene(tmp_path) as watched:
        await browser.open(watched.service.daemon.admin_url)
        await fall_ill(watched)
        await watched.alerts("firing", BOTH, timeout_s=FIRING_SECONDS)
        watched.vllm.ill = False
        await watched.vllm.each_answers([FAILING, SLOW])
        for model, state in ((FAILING, "failing"), (SLOW, "slow")):
            daemon = watched.service.daemon
            await daemon.logged("models", level="info", model=model, state=f"no longer {state}", timeout_s=OVER_SECONDS)
        await watched.alerts("firing", set())
        assert await watched.unwell() == []
        await the_page_shows(browser, set())
        assert not any(line.startswith(("FAILING", "SLOW")) for line in await watched.status())
        said = watched.said()
        assert sorted(said[:2]) == [(FAILING, "failing"), (SLOW, "slow")]
        assert sorted(said[2:]) == [(FAILING, "no longer failing"), (SLOW, "no longer slow")]
