"""A daemon before stand-ins for vLLM that have LoRA adapters, and what it tells of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from support.command import run_here
from support.daemon import run_daemon
from support.fake_vllm import run_fake_vllm
from support.lora_vllm import LoraVllm
from support.metrics import Metrics, scrape
from support.process import PATIENCE_SECONDS
from support.quick_config import quick_config
from support.service import CHAT, TECHNICAL, Reply, Service, chat

NEVER = 600_000
SOON: Any = {"poll_interval_ms": 50}
LOAD: Any = {"poll_interval_ms": 50, "load": True}
TECHNICAL_PATH = {"technical-lora": "/srv/technical"}


@dataclass(frozen=True)
class World:
    """A daemon, and the vLLMs behind it."""

    service: Service
    vllms: tuple[LoraVllm, ...]

    @property
    def vllm(self) -> LoraVllm:
        return self.vllms[0]

    async def ask(self, text: str = TECHNICAL, path: str = CHAT, **fields: Any) -> Reply:
        return await self.service.post(path, chat(text) | fields)

    async def metrics(self) -> Metrics:
        return await scrape(self.service.daemon)

    async def known(self) -> None:
        """Wait until every vLLM said what it serves, and make it forget what it was asked."""
        for endpoint in range(len(self.vllms)):
            await self.service.daemon.logged("endpoint", endpoint=self.name(endpoint))
            self.vllms[endpoint].paths.clear()

    def name(self, endpoint: int = 0) -> str:
        return f"vllm{endpoint}"

    async def adapters(self, endpoint: int = 0) -> dict[str, Any]:
        """The endpoint's entry in `GET /adapters`."""
        reply = await self.service.get("/adapters", admin=True)
        assert reply.status == 200
        found: dict[str, Any] = reply.json[endpoint]
        assert found["endpoint"] == self.name(endpoint)
        return found

    async def state(self, adapter: str = "technical-lora", endpoint: int = 0) -> Any:
        """The adapter's entry there."""
        (found,) = [one for one in (await self.adapters(endpoint))["adapters"] if one["name"] == adapter]
        return found

    async def reaches(self, state: str, adapter: str = "technical-lora", *, timeout_s: float = PATIENCE_SECONDS) -> Any:
        """Wait for a state of an adapter; its entry."""
        found: Any = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while (found := await self.state(adapter))["state"] != state:  # noqa: ASYNC110 - it is another process
                    await asyncio.sleep(0.01)
        assert found["state"] == state, found
        return found

    async def change(self, verb: str, body: Any) -> Reply:
        async with self.service.http.post(
            f"{self.service.daemon.admin_url}/adapters/{verb}",
            data=body if isinstance(body, bytes) else json.dumps(body),
            headers={"Content-Type": "application/json"},
        ) as answer:
            return Reply(answer.status, answer.headers, await answer.read())

    async def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`pointsman adapters`; beside the loop, which the fake vLLMs need."""
        return await asyncio.to_thread(run_here, "adapters", *arguments, "--config", self.service.daemon.config)


@contextlib.asynccontextmanager
async def run_world(
    folder: Path,
    *vllms: LoraVllm,
    adapters: Mapping[str, Any] = SOON,
    paths: Mapping[str, str] | None = None,
    change: Any = None,
    known: bool = True,
    **options: Mapping[str, Any],
) -> AsyncIterator[World]:
    """`quick_config` in front of these vLLMs; `paths` are those of its adapters, `change` may edit it."""
    async with contextlib.AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(run_fake_vllm(vllm)) for vllm in vllms or (LoraVllm(),)]
        config = quick_config(0)
        config["vllm_endpoints"] = [
            {"name": f"vllm{number}", "address": "127.0.0.1", "port": server.port}
            for number, server in enumerate(servers)
        ]
        for model in config["model_config"].values():
            model.pop("preferred_endpoints", None)
            for lora in model["loras"]:
                if lora["name"] in (paths or {}):
                    lora["path"] = (paths or {})[lora["name"]]
        config["pointsman"] = {"classifier": {"threads": 1}, "adapters": dict(adapters), **options}
        if change is not None:
            change(config)
        daemon = await stack.enter_async_context(run_daemon(config, folder))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        fakes = tuple(server for server in servers if isinstance(server, LoraVllm))
        world = World(Service(daemon, fakes[0], http), fakes)
        if known:
            await world.known()
        yield world


def without(*names: str) -> LoraVllm:
    """A vLLM without these adapters."""
    vllm = LoraVllm()
    for name in names:
        vllm.listed.remove(name)
    return vllm


async def ill(_: web.Request, __: bytes) -> web.StreamResponse:
    return web.Response(status=500)
