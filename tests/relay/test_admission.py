"""Bounds that meet the operating system: storms of requests, addresses of clients, sockets and open files."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from support import toy_artifact
from support.hostile import Exchange, Hostile, completion, stall_in_stream
from support.metrics import until
from support.process import reserve_port
from support.raw_client import Got, RawClient, chat, post
from support.relay import Relay, relay_config, run_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

BOUND = 4


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bounded_daemon(shared_upstream: Hostile, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Relay]:
    options: Any = {"server": {"max_in_flight": BOUND}, "relay": {"breaker_failures": 0}}
    async with run_relay(tmp_path_factory.mktemp("bounded"), shared_upstream, **options) as relay:
        yield relay


@pytest_asyncio.fixture(loop_scope="session")
async def bounded(bounded_daemon: Relay, upstream: Hostile) -> AsyncIterator[Relay]:
    """Whatever a test did, every lease is back at its end."""
    yield bounded_daemon
    await until(bounded_daemon.daemon, "requests_in_flight", 0)


@asynccontextmanager
async def full(relay: Relay) -> AsyncIterator[list[RawClient]]:
    """Streams that hold every lease; their clients leave at the end."""
    relay.upstream.script = stall_in_stream
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(relay.client()) for _ in range(BOUND)]
        for client in clients:
            client.send(post(chat(stream=True)))
            await client.until(b"\n\n")
        yield clients


def is_refusal(got: Got) -> bool:
    """A 503 (or 429) in OpenAI's form that says when to come again."""
    assert got.status in {429, 503}
    assert got.code == "overloaded"
    assert int(got.value("Retry-After") or 0) >= 1
    return True


async def test_a_refused_client_that_sends_its_body_all_the_same_gets_the_answer(bounded: Relay) -> None:
    """Were its connection closed over the bytes that it sent, the answer would be lost on the way."""
    async with full(bounded):
        for _ in range(5):
            assert is_refusal(await bounded.ask(chat("x" * 4_000_000)))


async def test_a_storm_over_the_bound_is_refused_and_never_more_than_the_bound_forwarded(bounded: Relay) -> None:
    most, now = 0, 0

    refused = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await refused.wait()
        await asyncio.sleep(0.02)
        now -= 1
        await completion(exchange)

    async def ask() -> Got:
        got = await bounded.ask()
        if got.status == 503:
            refused.set()
        return got

    bounded.upstream.script = script
    answers = await asyncio.gather(*(ask() for _ in range(200)))

    assert most <= BOUND
    assert {got.status for got in answers} == {200, 503}
    assert all(got.status == 200 or is_refusal(got) for got in answers)


# --- one client's share -----------------------------------------------------------------------------------------
HOG, OTHER = "127.0.0.2", "127.0.0.3"


# --- files ------------------------------------------------------------------------------------------------------


def starts_with(files: int, folder: Path, **server: Any) -> subprocess.CompletedProcess[str]:
    """`serve` where it may open only so many files; it must not start."""
    config = relay_config(str(toy_artifact.build_measured(folder / "toy")), reserve_port(), server=server)
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    return subprocess.run(
        [sys.executable, "-m", "pointsman", "serve", "--config", str(file)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_too_few_files_for_any_client_is_no_start(tmp_path: Path) -> None:
    listen = {"listen": [f"127.0.0.1:{reserve_port()}"], "admin_listen": f"127.0.0.1:{reserve_port()}"}
    done = await asyncio.to_thread(starts_with, 150, tmp_path, **listen)

    assert done.returncode == 3
    assert "LimitNOFILE" in done.stderr


async def test_the_soft_limit_of_files_is_raised_to_the_hard_one(relay: Relay) -> None:
    """Distributions give 1,024 to a service that does not ask for more."""
    limits = await asyncio.to_thread(Path(f"/proc/{relay.daemon.process.pid}/limits").read_text)
    (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    soft, hard = line.split()[3:5]

    assert soft == hard
