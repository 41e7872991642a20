"""TLS on real sockets: what holds without it holds with it, and neither a handshake nor its end keeps anything."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import ssl
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support import certificates, needs
from support.certificates import Pair
from support.hostile import DONE, STREAM, Exchange, Hostile, chunk, completion, event, stall, stall_in_stream, streams
from support.metrics import until
from support.process import PATIENCE_SECONDS, eventually
from support.raw_client import Cut, RawClient, chat, connect, post, request_head
from support.relay import Relay, run_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIB = 2**20
ROUNDS = 9
BOUND_SECONDS = 1.0
"""The target is 100 ms, on a quiet machine."""
LEAVERS: list[Callable[[RawClient], float]] = [RawClient.close, RawClient.leave]


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def secure_daemon(
    shared_upstream: Hostile, pair: Pair, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Relay]:
    async with run_relay(tmp_path_factory.mktemp("secure"), shared_upstream, server={"tls": pair.options()}) as relay:
        yield relay


@pytest_asyncio.fixture(loop_scope="session")
async def secure(secure_daemon: Relay, upstream: Hostile) -> Relay:
    """Its upstream has no memory of the tests before."""
    return secure_daemon


def files(relay: Relay) -> int:
    return sum(1 for _ in (needs.inside(relay.daemon.process.pid) / "fd").iterdir())


def pause(client: RawClient) -> None:
    """Let a client read nothing."""
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]


# --- what is spoken -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_versions_are_spoken_and_a_stream_comes_as_it_is(
    secure: Relay, pair: Pair, version: ssl.TLSVersion
) -> None:
    secure.upstream.script = streams()
    async with secure.client(tls=certificates.client(pair, version=version)) as client:
        for _ in range(3):
            client.send(post(chat(stream=True)))
            assert (await client.answer()).body.endswith(DONE)
        spoken = client.writer.get_extra_info("ssl_object").version()
    assert spoken == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]


async def test_an_older_version_is_refused(secure: Relay, pair: Pair) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        async with secure.client(tls=certificates.client(pair, version=ssl.TLSVersion.TLSv1_1)):
            raise AssertionError("it was spoken")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/health"])
async def test_who_speaks_no_tls_is_told_so_and_reaches_nothing(path: str, secure: Relay) -> None:
    """Also who sends more than a read of it, which a connection that is closed at once would reset."""
    refused = (await secure.metrics()).total("refused_total", reason="tls")
    async with secure.client() as client:
        client.send(post(chat("x" * 4 * MIB), path=path))
        answer = await client.answer()
        assert await client.rest() == b""
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"]) == (400, "tls_required")
    assert "https://" in error["message"]
    assert secure.upstream.requests == []
    await until(secure.daemon, "refused_total", refused + 1, reason="tls")


async def shake_hands(
    client: RawClient, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, at_once: int = 65_536
) -> None:
    """Negotiate, with so many bytes in a packet; the last ones stay in `outgoing`."""
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            while said := outgoing.read(at_once):
                client.send(said)
                await client.writer.drain()
            incoming.write(await client.reader.read(65_536))


async def test_a_handshake_whose_bytes_come_one_by_one_succeeds(secure: Relay, pair: Pair) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = certificates.client(pair).wrap_bio(incoming, outgoing, server_hostname="localhost")
    async with secure.client() as client:
        await shake_hands(client, tls, incoming, outgoing, at_once=1)
        assert tls.version() == "TLSv1.3"


# --- clients that leave or do not read ----------------------------------------------------------------------------


@pytest.mark.parametrize("leave", LEAVERS, ids=["close_notify", "RST"])
@pytest.mark.parametrize("script", [stall_in_stream, stall], ids=["in a stream", "before the answer"])
async def test_a_client_that_leaves_is_noticed_within_100_ms(
    secure: Relay, pair: Pair, leave: Callable[[RawClient], float], script: Any
) -> None:
    secure.upstream.script = script
    seconds: list[float] = []
    for count in range(1, ROUNDS + 1):
        async with secure.client(tls=certificates.client(pair)) as client:
            client.send(post(chat(stream=True)))
            exchange = await secure.upstream.arrived(count)
            if script is stall_in_stream:
                await client.until(b"\n\n")
            else:
                await exchange.body()
            left = leave(client)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await exchange.connection.gone.wait()
            assert exchange.connection.left is not None
            seconds.append(exchange.connection.left - left)
    assert statistics.median(seconds) < BOUND_SECONDS, seconds


async def test_a_client_that_only_ends_tcp_has_left_too(secure: Relay, pair: Pair) -> None:
    """Without an end of TLS: as when its machine is shut down, and half-closed."""
    secure.upstream.script = stall_in_stream
    async with secure.client(tls=certificates.client(pair)) as client:
        client.send(post(chat(stream=True)))
        exchange = await secure.upstream.arrived(1)
        await client.until(b"\n\n")
        client.writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await exchange.connection.gone.wait()


def large(exchange: Exchange) -> Any:
    """200 MB, as fast as they are taken."""

    async def script() -> None:
        await exchange.body()
        await exchange.send(STREAM)
        for _ in range(2000):
            await exchange.send(chunk(event("x" * 100_000)))
        await exchange.send(chunk(DONE) + chunk(b"") + b"\r\n")

    return script()


async def test_what_is_not_read_is_not_held(tmp_path: Path, upstream: Hostile, pair: Pair) -> None:
    async with run_relay(tmp_path, upstream, server={"tls": pair.options()}) as relay:
        tls = certificates.client(pair)
        assert (await relay.ask(tls=tls)).status == 200
        before = relay.daemon.memory()
        upstream.script = large
        async with relay.client(receive_buffer=4096, tls=tls) as client:
            client.send(post(chat(stream=True)))
            await upstream.arrived(2)
            assert await upstream.stands_still() < 64 * MIB
            assert relay.daemon.memory() - before < 64 * MIB
            got = await client.answer(timeout_s=120)
            assert relay.daemon.memory() - before < 64 * MIB
    assert len(got.body) >= 200 * 10**6


async def test_who_is_still_sending_reads_why_it_is_refused(secure: Relay, pair: Pair) -> None:
    before = (await secure.metrics()).total("requests_total", status="413")

    def begin() -> ssl.SSLSocket:
        host, _, port = secure.url.rpartition("/")[2].partition(":")
        client = certificates.client(pair).wrap_socket(
            socket.create_connection((host, int(port))), server_hostname=host
        )
        client.sendall(request_head(10**9))
        return client

    def go_on(client: ssl.SSLSocket) -> bytes:
        for _ in range(16):
            client.sendall(b" " * 256 * 1024)
        return client.recv(65_536)

    client = await asyncio.to_thread(begin)
    with client:
        await until(secure.daemon, "requests_total", before + 1, status="413")
        assert (await asyncio.to_thread(go_on, client)).startswith(b"HTTP/1.1 413 ")


# --- nothing is kept ----------------------------------------------------------------------------------------------


async def test_handshakes_that_do_not_go_on_are_bounded_and_end_in_time(
    tmp_path: Path, upstream: Hostile, pair: Pair
) -> None:
    """Clients that connect and say nothing, four times as many as may be connected."""
    upstream.script = completion
    options: Any = {"max_connections": 50, "header_timeout_ms": 3000, "tls": pair.options()}
    async with run_relay(tmp_path, upstream, server=options) as relay, contextlib.AsyncExitStack() as stack:
        before = files(relay)
        silent = [await stack.enter_async_context(relay.client()) for _ in range(200)]
        begun = time.monotonic()
        for _ in range(20):
            assert (await relay.ask(tls=certificates.client(pair))).status == 200
        assert files(relay) - before < 80
        for client in silent:
            await client.rest()
        assert time.monotonic() - begun < 30
        await eventually(lambda: files(relay) <= before + 2, "no file is left")


async def test_a_connection_that_ends_waits_for_no_answer_to_that(secure: Relay, pair: Pair) -> None:
    """The end of TLS is said twice: clients that never say it must not keep a descriptor."""
    tls = certificates.client(pair)
    assert (await secure.ask(tls=tls)).status == 200
    await eventually(lambda: files(secure) < 100, "settled")
    before = files(secure)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            client = await stack.enter_async_context(secure.client(tls=tls))
            client.send(post(chat(), "Connection: close"))
            await client.head()
            pause(client)
        await eventually(
            lambda: files(secure) <= before + 1, "they are closed", timeout_s=20
        )  # as the library would wait for 30 s


async def test_a_stream_ends_whole_while_the_service_stops(tmp_path: Path, upstream: Hostile, pair: Pair) -> None:
    go_on = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.send(STREAM + chunk(event("one")))
        await go_on.wait()
        await exchange.send(chunk(DONE) + chunk(b"") + b"\r\n")

    upstream.script = script
    async with (
        run_relay(tmp_path, upstream, server={"tls": pair.options()}) as relay,
        relay.client(tls=certificates.client(pair)) as client,
        relay.client() as silent,
    ):
        client.send(post(chat(stream=True)))
        await client.head()
        relay.daemon.process.send_signal(signal.SIGTERM)
        await relay.daemon.logged("stopping")
        go_on.set()
        assert (await client.rest()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        await silent.rest()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await relay.daemon.process.wait() == 0


# --- certificates -------------------------------------------------------------------------------------------------


async def served(relay: Relay) -> str:
    """The serial number of the certificate that the service shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with relay.client(tls=context) as client:
        der = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    file = relay.daemon.config.with_suffix(".served")
    file.write_text(ssl.DER_cert_to_PEM_cert(der))
    return certificates.openssl("x509", "-in", str(file), "-noout", "-serial").strip().partition("=")[2]


async def test_a_renewed_certificate_is_used_and_a_broken_one_is_not(tmp_path: Path, upstream: Hostile) -> None:
    """As soon as the files change, for new connections; those that are open go on."""
    pair, renewed = certificates.make(tmp_path), certificates.make(tmp_path, "renewed")
    first = pair.serial()
    tls = certificates.client(pair)
    async with run_relay(tmp_path, upstream, server={"tls": pair.options()}) as relay, relay.client(tls=tls) as client:
        assert await served(relay) == first

        shutil.copy(renewed.certificate, pair.certificate)  # as if the renewal stopped here
        line = await relay.daemon.logged("reload", result="failed")
        assert str(pair.key) in line["error"]
        assert "is not that of the certificate" in line["error"]
        assert await served(relay) == first

        shutil.copy(renewed.key, pair.key)
        line = await relay.daemon.logged("reload", result="applied")
        assert [change["path"] for change in line["changes"]] == ["pointsman.server.tls"]
        assert await served(relay) == renewed.serial()
        ends = (await relay.metrics()).by("certificate_expires_timestamp_seconds", "port")
        assert list(ends) == ["data"]
        assert 29 * 86_400 < ends["data"] - time.time() < 31 * 86_400
        client.send(post(chat()))
        assert (await client.answer()).status == 200
        assert "PRIVATE" not in relay.daemon.log_text()


async def test_a_client_certificate_is_wanted_where_there_are_authorities(
    tmp_path: Path, upstream: Hostile, pair: Pair
) -> None:
    authority = certificates.make(tmp_path, "authority")
    own = certificates.make(tmp_path, "client", signed_by=authority)
    stranger = certificates.make(tmp_path, "stranger")
    options = pair.options(client_ca_file=str(authority.certificate))
    async with run_daemon_behind(tmp_path, upstream, options, certificates.client(pair, own)) as relay:
        assert (await relay.ask(tls=certificates.client(pair, own))).status == 200
        for tls in (certificates.client(pair), certificates.client(pair, stranger)):
            with pytest.raises((ssl.SSLError, Cut, ConnectionError)):
                await relay.ask(tls=tls)
        assert len(upstream.requests) == 1


@contextlib.asynccontextmanager
async def run_daemon_behind(
    folder: Path, upstream: Hostile, options: dict[str, str], tls: ssl.SSLContext
) -> AsyncIterator[Relay]:
    """A relay that becomes one with client certificates once it is ready."""
    plain = {name: value for name, value in options.items() if name != "client_ca_file"}
    async with run_relay(folder, upstream, server={"tls": plain}) as relay:
        text = relay.daemon.config.read_text()
        line = f"certificate_file: {options['certificate_file']}\n"
        assert line in text
        indent = text[: text.index(line)].rpartition("\n")[2]
        more = f"{line}{indent}client_ca_file: {options['client_ca_file']}\n"
        relay.daemon.config.write_text(text.replace(line, more))
        await relay.daemon.logged("reload", result="applied")
        yield relay


async def test_the_admin_port_speaks_tls_as_well_and_commands_know_its_certificate(
    tmp_path: Path, upstream: Hostile, pair: Pair
) -> None:
    async with run_relay(tmp_path, upstream, server={"admin_tls": pair.options()}) as relay:
        async with connect(relay.daemon.admin_url, tls=certificates.client(pair)) as client:
            client.send(b"GET /config HTTP/1.1\r\nHost: localhost\r\n\r\n")
            got = await client.answer()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pointsman", "status", "--json", "--config", str(relay.daemon.config)),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
    assert got.status == 200
    assert json.loads(said)["trouble"] is None
