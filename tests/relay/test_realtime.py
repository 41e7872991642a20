"""Websockets on real sockets, between a client and a vLLM of aiohttp, in the clear and over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import WSMsgType, web

from support import certificates, toy_artifact
from support.certificates import Pair
from support.daemon import Daemon, run_daemon
from support.hostile import MODELS
from support.metrics import until
from support.process import PATIENCE_SECONDS, eventually
from support.raw_client import RawClient, connect
from support.relay import relay_config

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIB = 2**20
BOUND_SECONDS = 1.0
"""The target is 100 ms, on a quiet machine."""
ROUNDS = 5
OFFER = (
    b"GET /v1/realtime HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Speaker:
    """A vLLM that repeats what it hears on a websocket; `b"bye"` has it end, and `b"deaf"` listen no more."""

    def __init__(self) -> None:
        self.port = 0
        self.open: list[asyncio.Transport] = []
        self.left: list[float] = []
        """When clients were gone."""
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response(MODELS)

    async def realtime(self, request: web.Request) -> web.StreamResponse:
        if "Authorization" in request.headers:
            raise web.HTTPBadRequest
        await self.go_on.wait()
        socket = web.WebSocketResponse(max_msg_size=0)
        transport: Any = request.transport
        self.open.append(transport)  # a client that knows of the websocket finds it here
        await socket.prepare(request)
        async for message in socket:
            if message.data == b"bye":
                await socket.close()
            elif message.data == b"deaf":
                transport.pause_reading()
            elif message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)
        self.left.append(time.monotonic())
        self.open.remove(transport)
        return socket


@pytest_asyncio.fixture(loop_scope="session")
async def speaker() -> AsyncIterator[Speaker]:
    made = Speaker()
    app = web.Application()
    app.router.add_get("/v1/realtime", made.realtime)
    app.router.add_get("/health", made.health)
    app.router.add_get("/v1/models", made.models)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


@contextlib.asynccontextmanager
async def running(folder: Path, speaker: Speaker, **options: Any) -> AsyncIterator[Daemon]:
    config = relay_config(str(toy_artifact.build_measured(folder / "toy")), speaker.port, **options)
    async with run_daemon(config, folder) as daemon:
        yield daemon


@contextlib.asynccontextmanager
async def client(daemon: Daemon, tls: ssl.SSLContext | None = None) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    url = f"{daemon.base_url}/v1/realtime"
    options: Any = {"max_msg_size": 0, "compress": 15, "ssl": tls or True}
    async with aiohttp.ClientSession() as http, http.ws_connect(url, **options) as socket:
        yield socket


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("over_tls", [False, True], ids=["clear", "TLS"])
async def test_messages_cross_whole_and_either_side_ends_it(
    tmp_path: Path, speaker: Speaker, pair: Pair, over_tls: bool
) -> None:
    options: Any = {"server": {"tls": pair.options()}} if over_tls else {}
    tls = certificates.client(pair) if over_tls else None
    async with running(tmp_path, speaker, **options) as daemon:
        for number in range(3):
            async with client(daemon, tls) as socket:
                for size in (1, 125, 65_536, 3 * MIB):
                    data = bytes([size % 251, number]) * size
                    await socket.send_bytes(data)
                    assert await socket.receive_bytes(timeout=PATIENCE_SECONDS) == data
                await socket.send_str("é")
                assert await socket.receive_str(timeout=PATIENCE_SECONDS) == "é"
                await until(daemon, "requests_in_flight", 1)  # the one before may be about to end
                if number == 1:
                    await socket.send_bytes(b"bye")
                    assert (await socket.receive(timeout=PATIENCE_SECONDS)).type is WSMsgType.CLOSE
                    assert socket.close_code == 1000
                else:
                    await socket.close()
                    assert socket.close_code == 1000
        lines = [line async for line in outcomes(daemon, 3)]
        assert {(line["status"], "error" in line) for line in lines} == {(101, False)}


async def outcomes(daemon: Daemon, count: int) -> AsyncIterator[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def look() -> bool:
        found[:] = [line for line in daemon.log_lines() if line.get("path") == "/v1/realtime"]
        return len(found) >= count

    await eventually(look, f"the daemon logs {count} websockets")
    assert len(found) == count
    for line in found:
        yield line


@pytest.mark.parametrize("over_tls", [False, True], ids=["clear", "TLS"])
@pytest.mark.parametrize("deaf", [False, True], ids=["that reads", "that does not read"])
async def test_a_client_that_leaves_is_gone_for_vllm_within_100_ms(
    tmp_path: Path, speaker: Speaker, pair: Pair, over_tls: bool, deaf: bool
) -> None:
    """Also where so much is on its way to vLLM that the client is not read from."""
    options: Any = {"server": {"tls": pair.options()}} if over_tls else {}
    tls = certificates.client(pair) if over_tls else None
    seconds: list[float] = []
    async with running(tmp_path, speaker, **options) as daemon:
        for round_ in range(1, ROUNDS + 1):
            async with connect(daemon.base_url, tls=tls) as raw:
                raw.send(OFFER)
                assert (await raw.head())[0] == 101
                (served,) = speaker.open
                if deaf:
                    await jam(raw)
                at = time.time()
                began = raw.leave()
            if deaf:  # it would see the end only behind all that it has not read
                *_, line = [line async for line in outcomes(daemon, round_)]
                seconds.append(datetime.datetime.fromisoformat(line["ts"]).timestamp() - at)
                served.abort()
            await eventually(lambda: not speaker.open, "vLLM sees it leave")
            if not deaf:
                seconds.append(speaker.left[-1] - began)
    assert sorted(seconds)[ROUNDS // 2] < BOUND_SECONDS, seconds


async def jam(raw: RawClient) -> None:
    """Have vLLM read no more, and send until nothing is taken."""
    raw.send(b"\x82\x84\0\0\0\0deaf" + b"\x82\xff" + (24 * MIB).to_bytes(8, "big") + bytes(4 + 24 * MIB))
    transport: Any = raw.writer.transport
    beneath = transport._ssl_protocol._transport if hasattr(transport, "_ssl_protocol") else transport
    left = 0
    while left != (now := beneath.get_write_buffer_size()):
        left = now
        await asyncio.sleep(0.2)  # within which nothing was taken
    assert left > 8 * MIB


async def test_memory_does_not_grow_with_what_a_side_does_not_read(tmp_path: Path, speaker: Speaker) -> None:
    async with running(tmp_path, speaker) as daemon, connect(daemon.base_url) as raw:
        raw.send(OFFER)
        assert (await raw.head())[0] == 101
        before = daemon.memory()
        await jam(raw)
        assert daemon.memory() - before < 4 * MIB
        raw.leave()
