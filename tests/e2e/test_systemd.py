"""The service as systemd sees it: told when it is ready and alive, and restarted on a socket that stays open."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from support.daemon import run_daemon
from support.fake_vllm import FakeVllm, event, run_fake_vllm
from support.process import eventually
from support.service import CHAT, chat, shipped_config

pytestmark = pytest.mark.asyncio(loop_scope="session")
CLIENTS = 8


class Manager:
    """The socket that systemd would listen at, and what it was told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(path))
        self._told: list[str] = []

    def told(self) -> list[str]:
        """All lines so far."""
        while True:
            try:
                self._told += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self._told

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def upstream() -> AsyncIterator[FakeVllm]:
    async with run_fake_vllm() as fake:
        yield fake


async def test_systemd_hears_that_the_service_is_ready_how_it_goes_and_that_it_stops(
    manager: Manager, upstream: FakeVllm, tmp_path: Path
) -> None:
    async with run_daemon(shipped_config(upstream.port), tmp_path, env={"NOTIFY_SOCKET": str(manager.path)}):
        await eventually(lambda: "READY=1" in manager.told(), "READY")
        assert "STATUS=1 of 1 vLLM up; 3 adapters; 0 in flight" in manager.told()
        assert "STOPPING=1" not in manager.told()
        assert "WATCHDOG=1" not in manager.told()[: manager.told().index("READY=1")]

    assert "STOPPING=1" in manager.told()


async def test_it_is_ready_without_a_vllm_after_a_while_and_says_so(manager: Manager, tmp_path: Path) -> None:
    """vLLM may load its model for minutes, and its clients are to hear that from us."""
    config = shipped_config(9)  # the port of `discard`, where nobody listens
    async with run_daemon(config, tmp_path, env={"NOTIFY_SOCKET": str(manager.path)}):
        await eventually(lambda: "READY=1" in manager.told(), "READY", within_s=20)

        assert "STATUS=0 of 1 vLLM up; 0 adapters; 0 in flight" in manager.told()


async def test_the_watchdog_is_fed_more_often_than_it_bites(
    manager: Manager, upstream: FakeVllm, tmp_path: Path
) -> None:
    env = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "300000"}
    async with run_daemon(shipped_config(upstream.port), tmp_path, env=env):
        await eventually(lambda: manager.told().count("WATCHDOG=1") >= 5, "five signs of life", within_s=10)


async def test_a_restart_under_load_refuses_nobody(upstream: FakeVllm, tmp_path: Path) -> None:
    """On an inherited socket: who comes between two processes waits for the second, and a running stream ends whole."""
    go_on, streaming, over = asyncio.Event(), asyncio.Event(), asyncio.Event()
    config = shipped_config(upstream.port)

    async def answer(request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(event("llama2-7b", "first"))
        if b'"stays"' in body:
            streaming.set()
            await go_on.wait()
        await response.write(b"data: [DONE]\n\n")
        return response

    upstream.answer = answer
    outcomes: list[tuple[int, bytes]] = []

    async def ask(url: str, text: str) -> tuple[int, bytes]:
        connector = aiohttp.TCPConnector(force_close=True)  # a kept connection may close at any time, and clients know
        async with (
            aiohttp.ClientSession(connector=connector) as http,
            http.post(url, json=chat(text, "llama2-7b", stream=True)) as response,
        ):
            return response.status, await response.read()

    async def keep_asking(url: str) -> None:
        while not over.is_set():
            outcomes.append(await ask(url, "short"))

    def ready_in(folder: Path) -> Any:
        return run_daemon(config, folder, listener=listener)

    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}{CHAT}"
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
        async with asyncio.TaskGroup() as group:
            async with ready_in(tmp_path / "first") as daemon:
                staying = group.create_task(ask(url, "stays"))
                for _ in range(CLIENTS):
                    group.create_task(keep_asking(url))
                await streaming.wait()
                await eventually(lambda: len(outcomes) > 10 * CLIENTS, "a load")
                daemon.process.terminate()
                await daemon.logged("stopping")
                go_on.set()
            before = len(outcomes)
            async with ready_in(tmp_path / "second"):
                await eventually(lambda: len(outcomes) > before + 10 * CLIENTS, "the second serves")
                over.set()

    whole = event("llama2-7b", "first") + b"data: [DONE]\n\n"
    assert await staying == (200, whole)
    assert set(outcomes) == {(200, whole)}


async def test_the_log_names_the_inherited_socket(upstream: FakeVllm, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with run_daemon(shipped_config(upstream.port), tmp_path, listener=listener) as daemon:
            line = await daemon.logged("ready")

    assert re.fullmatch(r"127\.0\.0\.1:\d+", line["listen"][0])
    assert line["listen"] == [f"127.0.0.1:{daemon.base_url.rpartition(':')[2]}"]
