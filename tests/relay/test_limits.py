"""Slow, large and hasty clients on real sockets, many at a time; the unit tests state the limits of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from support import needs
from support.hostile import Hostile
from support.metrics import until
from support.raw_client import CHAT, RawClient, request_head
from support.relay import Relay, run_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIMIT_SECONDS = 2.0
"""More than passes between a connection of an honest client and its request, and between two parts of one."""
MAX_BODY_BYTES = 64 * 1024
HEAD = f"POST {CHAT} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n".encode()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def limited_daemon(shared_upstream: Hostile, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Relay]:
    limits = {
        "header_timeout_ms": int(LIMIT_SECONDS * 1000),
        "body_timeout_ms": int(LIMIT_SECONDS * 1000),
        "max_body_bytes": MAX_BODY_BYTES,
    }
    async with run_relay(tmp_path_factory.mktemp("limited"), shared_upstream, server=limits) as relay:
        yield relay


@pytest_asyncio.fixture(loop_scope="session")
async def limited(limited_daemon: Relay, upstream: Hostile) -> AsyncIterator[Relay]:
    """Nothing of what was refused ever reached the upstream, and nothing is left of it."""
    yield limited_daemon
    await until(limited_daemon.daemon, "requests_in_flight", 0)
    await until(limited_daemon.daemon, "bodies_arriving", 0)
    assert upstream.malformed == []


async def timed_out(client: RawClient) -> None:
    """It gets an answer in OpenAI's form, after which the connection is closed."""
    got = await client.answer()
    assert (got.status, got.code) == (408, "request_timeout")
    assert await client.rest() == b""


async def refused(relay: Relay) -> Counter[str]:
    return Counter((await relay.metrics()).by("refused_total", "reason"))


async def test_200_slow_heads_and_bodies_delay_nobody_are_all_cut_off_and_counted(limited: Relay) -> None:
    before = await refused(limited)
    async with AsyncExitStack() as stack:
        slow = []
        for number in range(200):
            client = await stack.enter_async_context(limited.client())
            client.send(HEAD if number % 2 else request_head(1000))
            slow.append(client)
        for _ in range(20):
            assert (await limited.ask()).status == 200
        await asyncio.gather(*map(timed_out, slow))
    await until(limited.daemon, "connections", 0)
    assert await refused(limited) - before == {"header_timeout": 100, "body_timeout": 100}


@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 40 * 2**20])
async def test_a_client_that_sends_too_much_gets_the_413_all_the_same(limited: Relay, size: int) -> None:
    """Were the connection closed over what it sends, the answer would be lost on the way."""
    got = await limited.ask(b" " * size)

    assert (got.status, got.code) == (413, "body_too_large")


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param(("-H", "-i", "1"), id="slow headers"),
        pytest.param(("-B", "-i", "1", "-s", "4096"), id="slow bodies"),
        pytest.param(("-X", "-w", "1", "-y", "2", "-n", "1", "-z", "1", "-k", "3"), id="slow reading"),
    ],
)
async def test_slowhttptest_finds_the_service_available_throughout(limited: Relay, mode: tuple[str, ...]) -> None:
    program = needs.program("slowhttptest")
    url = limited.url + ("/v1/models" if mode[0] == "-X" else CHAT)
    command = (program, *mode, "-c", "300", "-r", "150", "-l", "6", "-p", "10", "-u", url)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    report = output.decode(errors="replace")

    assert process.returncode == 0, report
    assert "service available:" in report, report
    assert "NO" not in [line.split()[-1] for line in report.splitlines() if "service available:" in line], report
    assert (await limited.ask()).status == 200
