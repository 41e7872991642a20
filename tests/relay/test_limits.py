"""How slowly, how much and how many a client may send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from support import needs
from support.hostile import Hostile, stall
from support.metrics import until
from support.raw_client import CHAT, Got, RawClient, chat, post, request_head
from support.relay import Relay, run_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIMIT_S = 0.4
WRONG_END_S = 2 * LIMIT_S
"""Within it a limit that is not to strike would have struck: no event tells that nothing has happened."""
LARGEST = 64 * 1024
HEAD = f"POST {CHAT} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n".encode()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def limited_daemon(shared_upstream: Hostile, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Relay]:
    limits = {
        "header_timeout_ms": int(LIMIT_S * 1000),
        "body_timeout_ms": int(LIMIT_S * 1000),
        "max_body_bytes": LARGEST,
    }
    async with run_relay(tmp_path_factory.mktemp("limited"), shared_upstream, server=limits) as relay:
        yield relay


@pytest_asyncio.fixture(loop_scope="session")
async def limited(limited_daemon: Relay, upstream: Hostile) -> AsyncIterator[Relay]:
    """Nothing of what was refused ever reached the upstream, and nothing is left of it."""
    yield limited_daemon
    await until(limited_daemon.daemon, "requests_in_flight", 0)
    assert upstream.malformed == []


async def refused(client: RawClient, status: int, code: str) -> Got:
    """The answer in OpenAI's form, after which the connection is closed."""
    got = await client.answer(within_s=20 * LIMIT_S)
    assert (got.status, got.code) == (status, code)
    assert await client.rest(within_s=10) == b""
    return got


async def drip(client: RawClient, piece: bytes) -> None:
    """A piece now and then, until it is cut off."""
    while not client.writer.transport.is_closing():
        client.send(piece)
        await asyncio.sleep(LIMIT_S / 10)


# --- slowness ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [b"P", b"POST ", HEAD[:30], HEAD, HEAD + b"\r"])
async def test_a_head_that_is_not_whole_in_time_is_a_408(limited: Relay, start: bytes) -> None:
    async with limited.client() as client:
        client.send(start)
        await refused(client, 408, "request_timeout")
    assert limited.upstream.requests == []


async def test_a_head_that_drips_is_a_408(limited: Relay) -> None:
    """A byte now and then buys no time: that is slowloris."""
    async with limited.client() as client:
        client.send(HEAD)
        dripping = asyncio.create_task(drip(client, b"X-A: b\r\n"))
        await refused(client, 408, "request_timeout")
        dripping.cancel()


async def test_the_head_of_a_second_request_has_the_same_time(limited: Relay) -> None:
    async with limited.client() as client:
        client.send(post(chat()))
        assert (await client.answer()).status == 200
        client.send(HEAD)
        await refused(client, 408, "request_timeout")


async def test_so_has_one_that_began_before_the_first_was_answered(limited: Relay) -> None:
    async with limited.client() as client:
        client.send(post(chat()) + HEAD)
        assert (await client.answer()).status == 200
        await refused(client, 408, "request_timeout")


async def test_a_connection_that_is_idle_between_requests_is_not_cut(limited: Relay) -> None:
    async with limited.client() as client:
        for _ in range(2):
            client.send(post(chat()))
            assert (await client.answer()).status == 200
            await asyncio.sleep(WRONG_END_S)
        client.send(post(chat()))
        assert (await client.answer()).status == 200


async def test_the_time_that_an_answer_takes_is_not_the_clients(limited: Relay) -> None:
    async with limited.client() as client:
        limited.upstream.script = stall
        client.send(post(chat()))
        await limited.upstream.arrived()
        await asyncio.sleep(WRONG_END_S)
        assert not limited.upstream.requests[0].connection.gone.is_set()


@pytest.mark.parametrize("start", [b"", b'{"model"'])
async def test_a_body_that_is_not_whole_in_time_is_a_408(limited: Relay, start: bytes) -> None:
    async with limited.client() as client:
        client.send(request_head(1000) + start)
        await refused(client, 408, "request_timeout")
    assert limited.upstream.requests == []


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_body_that_drips_is_a_408(limited: Relay, framing: str) -> None:
    async with limited.client() as client:
        if framing == "length":
            client.send(request_head(10_000))
            dripping = asyncio.create_task(drip(client, b" "))
        else:
            client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            dripping = asyncio.create_task(drip(client, b"1\r\n \r\n"))
        await refused(client, 408, "request_timeout")
        dripping.cancel()


async def test_what_is_cut_off_is_counted(limited: Relay) -> None:
    before = (await limited.metrics()).by("refused_total", "reason")
    async with limited.client() as one, limited.client() as two:
        one.send(HEAD)
        two.send(request_head(1000))
        await refused(one, 408, "request_timeout")
        await refused(two, 408, "request_timeout")
    after = (await limited.metrics()).by("refused_total", "reason")

    for reason in ("header_timeout", "body_timeout"):
        assert after[reason] == before.get(reason, 0) + 1


async def test_a_malformed_head_is_only_counted(limited: Relay) -> None:
    """It is no request yet, whose line the log could have."""
    before = (await limited.metrics()).by("refused_total", "reason")
    async with limited.client() as client:
        client.send(b"POST nowhere HTTP/1.1\r\nX-Request-Id: malformed\r\n\r\n")
        await refused(client, 400, "malformed_request")
    after = (await limited.metrics()).by("refused_total", "reason")

    assert after["malformed"] == before.get("malformed", 0) + 1
    assert [line for line in limited.daemon.log_lines() if line.get("request_id") == "malformed"] == []


async def test_200_slow_heads_and_bodies_delay_nobody_and_are_all_cut_off(limited: Relay) -> None:
    async with AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(limited.client()) for _ in range(200)]
        for number, client in enumerate(slow):
            client.send(HEAD if number % 2 else request_head(1000))
        for _ in range(20):
            assert (await limited.ask()).status == 200
        await asyncio.gather(*(refused(client, 408, "request_timeout") for client in slow))
    await until(limited.daemon, "connections", 0)


# --- size -------------------------------------------------------------------------------------------------------


def sized(size: int) -> bytes:
    """A chat request of exactly so many bytes."""
    empty = json.dumps(chat("")).encode()
    return json.dumps(chat("x" * (size - len(empty)))).encode()


async def test_a_body_of_exactly_the_limit_passes(limited: Relay) -> None:
    got = await limited.ask(sized(LARGEST))

    assert got.status == 200
    assert limited.upstream.requests[0].request.body == sized(LARGEST)


async def test_one_byte_more_is_a_413_before_the_body_is_read(limited: Relay) -> None:
    async with limited.client() as client:
        client.send(request_head(LARGEST + 1))
        await refused(client, 413, "body_too_large")


@pytest.mark.parametrize("size", [LARGEST + 1, 40 * 2**20])
async def test_a_client_that_sends_too_much_gets_the_413_all_the_same(limited: Relay, size: int) -> None:
    """Were the connection closed over what it sends, the answer would be lost on the way."""
    got = await limited.ask(b" " * size)

    assert (got.status, got.code) == (413, "body_too_large")


async def test_chunks_that_add_up_to_too_much_are_a_413(limited: Relay) -> None:
    async with limited.client() as client:
        client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"4000\r\n%s\r\n" % (b" " * 0x4000) * 5)
        await refused(client, 413, "body_too_large")
    assert limited.upstream.requests == []


async def test_a_compressed_body_is_a_415_and_is_never_unpacked(limited: Relay) -> None:
    async with limited.client() as client:
        client.send(request_head(1000, "Content-Encoding: gzip"))
        got = await client.answer()
    assert (got.status, got.code) == (415, "unsupported_encoding")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(f"X-Long: {'x' * 10_000}\r\n".encode(), id="long field"),
        pytest.param(f"{'X' * 10_000}: x\r\n".encode(), id="long name"),
        pytest.param(b"".join(b"X-%d: x\r\n" % number for number in range(200)), id="many fields"),
        pytest.param(b"".join(b"X-%d: %s\r\n" % (n, b"x" * 5000) for n in range(1000)), id="endless"),
    ],
)
async def test_a_head_beyond_the_limits_is_refused(limited: Relay, fields: bytes) -> None:
    async with limited.client() as client:
        client.send(HEAD + fields + b"Content-Length: 0\r\n\r\n")
        got = await client.answer()
        assert (got.status, got.code) == (400, "malformed_request")
        assert got.json["error"]["type"] == "invalid_request_error"
    assert limited.upstream.requests == []


async def test_a_target_beyond_the_limit_is_refused(limited: Relay) -> None:
    async with limited.client() as client:
        client.send(HEAD.replace(b" HTTP", b"?" + b"x" * 20_000 + b" HTTP") + b"Content-Length: 0\r\n\r\n")
        got = await client.answer()
        assert (got.status, got.code) == (400, "malformed_request")
    assert limited.upstream.requests == []


async def test_a_client_that_sends_far_ahead_is_not_read_from(limited: Relay) -> None:
    """A thousand requests at once are not held in memory; each is answered in its turn."""
    async with limited.client() as client:
        asked = post(chat("x" * 1000))

        async def send() -> None:
            for _ in range(1000):
                client.send(asked)
                await client.writer.drain()

        sending = asyncio.create_task(send())
        answers = [await client.answer() for _ in range(1000)]
        await sending
    assert {got.status for got in answers} == {200}
    assert len(limited.upstream.requests) == 1000


async def test_far_ahead_of_answers_that_need_nobody_each_request_has_its_own(limited: Relay) -> None:
    async with limited.client() as client:
        client.send(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n" * 1000)
        assert [(await client.answer()).status for _ in range(1000)] == [200] * 1000


# --- slowhttptest -----------------------------------------------------------------------------------------------


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
    command = (program, *mode, "-c", "300", "-r", "150", "-l", "6", "-p", "2", "-u", url)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    told = output.decode(errors="replace")

    assert process.returncode == 0, told
    assert "service available:" in told, told
    assert "NO" not in [line.split()[-1] for line in told.splitlines() if "service available:" in line], told
    assert (await limited.ask()).status == 200
