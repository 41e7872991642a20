"""Whatever happens to stderr, requests, background tasks, reloads and the shutdown go on: a real process."""

from __future__ import annotations

import asyncio
import fcntl
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.hostile import Hostile
from support.log import Log
from support.metrics import until
from support.process import eventually
from support.relay import Relay, run_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

FAST: Any = {"relay": {"health_interval_ms": 100}, "adapters": {"poll_interval_ms": 100}}
PAGE = 4096


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that takes a few lines."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PAGE)
    try:
        yield reader, writer
    finally:
        for file in (reader, writer):
            os.close(file)


@contextmanager
def opened(path: str | Path) -> Iterator[int]:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        yield file
    finally:
        os.close(file)


async def served(relay: Relay, count: int = 50) -> None:
    """So many requests are answered, of which each is a line in the log."""
    for _ in range(count):
        assert (await relay.ask()).status == 200


async def ended(relay: Relay) -> None:
    """It ends of its own accord after a SIGTERM, and soon."""
    relay.daemon.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(20):  # below the 30 s of a drain
        assert await relay.daemon.process.wait() == 0


async def reloaded(relay: Relay) -> None:
    """SIGHUP and `POST /reload` both have an effect."""
    relay.daemon.process.send_signal(signal.SIGHUP)
    await until(relay.daemon, "reloads_total", 1, result="unchanged")
    async with aiohttp.ClientSession() as http, http.post(relay.daemon.admin_url + "/reload") as response:
        assert response.status == 200


async def restarted(relay: Relay) -> None:
    """The endpoint goes away, and is used again once it is back."""
    await relay.upstream.die()
    await until(relay.daemon, "endpoint_reachable", 0)
    await relay.upstream.listen()
    await until(relay.daemon, "endpoint_up", 1)
    await served(relay, 1)


@pytest.mark.parametrize("blocking", [True, False])
async def test_a_reader_that_stands_still_stops_neither_requests_nor_the_shutdown(
    tmp_path: Path, upstream: Hostile, blocking: bool
) -> None:
    with pipe() as (_, writer):
        os.set_blocking(writer, blocking)
        async with run_relay(tmp_path, upstream, stderr=writer, **FAST) as relay:
            await served(relay)
            await restarted(relay)
            await reloaded(relay)
            await ended(relay)


async def test_a_disk_that_is_full_for_a_while_loses_no_line_and_no_background_task(
    tmp_path: Path, upstream: Hostile
) -> None:
    """A limit of the file's size stands in for the disk: what goes beyond is an error, and part of a line may fit."""
    path = tmp_path / "log"
    with opened(path) as file:
        async with run_relay(tmp_path, upstream, stderr=file, **FAST) as relay:
            await served(relay, 1)
            pid, (_, hard) = relay.daemon.process.pid, resource.getrlimit(resource.RLIMIT_FSIZE)
            full = path.stat().st_size + 1000
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (full, hard))
            await served(relay)
            await restarted(relay)
            await reloaded(relay)
            assert path.stat().st_size == full
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
            await eventually(lambda: len(requests(path)) == 52, "the log has caught up")
            await ended(relay)
    events = [(line["event"], line.get("state")) for line in Log(path).lines()]
    assert ("endpoint", "up") in events
    assert events[-1] == ("stopping", None)
    assert len({line["request_id"] for line in requests(path)}) == 52


def requests(path: Path) -> list[dict[str, Any]]:
    return [line for line in Log(path).lines() if line["event"] in {"request", "routing_decision"}]


async def test_a_service_that_cannot_start_exits_with_3_where_it_cannot_say_why(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pointsman", "serve", "--config", str(tmp_path / "nowhere.yaml")]
    with opened("/dev/full") as full:
        done = await asyncio.to_thread(subprocess.run, command, stderr=full, timeout=60, check=False)
    assert done.returncode == 3
