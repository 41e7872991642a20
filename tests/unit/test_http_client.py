"""Calls of commands to vLLM and other services: bounded, without redirects, and each failure is told as what it is."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from pointsman.cli.http_client import CallFailed, connected
from pointsman.config.model import Endpoint
from support import certificates
from support.certificates import Pair
from support.hostile import Exchange, Hostile, Script, chunk, deaf_port, head, run_hostile, sends, stall, whole
from support.process import PATIENCE_SECONDS, reserve_port

BODY = b'{"data": []}'
STREAM = head("200 OK", "Transfer-Encoding: chunked")
NO_HTTP = "something else than HTTP"


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Hostile]:
    async with run_hostile() as hostile:
        yield hostile


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return certificates.make(tmp_path)


def at(address: str) -> Endpoint:
    return Endpoint(name="vllm", address=address)


async def asked(address: str, path: str = "/x", *, key: bytes | None = None, seconds: float = 5.0) -> tuple[int, bytes]:
    async with connected(at(address), key) as client:
        return await client.get(path, seconds=seconds)


async def failure(address: str, *, seconds: float = 5.0) -> str:
    """The one line that a command prints."""
    with pytest.raises(CallFailed) as failed:
        await asked(address, seconds=seconds)
    text = str(failed.value)
    assert address in text
    assert text.isprintable()
    return text


def url(server: Hostile) -> str:
    return f"http://127.0.0.1:{server.port}"


# --- what is sent -------------------------------------------------------------------------------------------------


async def test_a_request_has_the_key_and_asks_for_no_compression(server: Hostile) -> None:
    server.script = whole(BODY)
    async with connected(at(url(server)), b"sk") as client:
        assert await client.get("/a?b=c") == (200, BODY)

    (request,) = (exchange.request for exchange in server.requests)
    assert (request.method, request.target, request.values("content-type")) == ("GET", "/a?b=c", [])
    assert request.values("authorization") == ["Bearer sk"]
    assert request.values("accept-encoding") == ["identity"]


async def test_without_a_key_none_is_sent_and_a_prefix_is_kept(server: Hostile) -> None:
    server.script = whole(BODY)
    await asked(f"{url(server)}/vllm", "/v1/models")

    request = server.requests[0].request
    assert (request.target, request.values("authorization")) == ("/vllm/v1/models", [])


async def test_no_proxy_of_the_environment_is_asked(server: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would get the key."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{reserve_port()}")
    server.script = whole(BODY)
    assert await asked(url(server)) == (200, BODY)


async def test_a_unix_socket_is_an_address(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head("200 OK", "Content-Length: 2", "Connection: close") + b"{}")
        writer.close()

    path = tmp_path / "vllm.sock"
    async with await asyncio.start_unix_server(answer, path):
        assert await asked(f"unix:{path}") == (200, b"{}")
    assert "is a server running there?" in await failure(f"unix:{path}")


# --- what is not done ---------------------------------------------------------------------------------------------


async def test_a_redirect_is_an_answer_and_not_followed(server: Hostile) -> None:
    server.script = sends(head("307 Temporary Redirect", f"Location: {url(server)}/elsewhere", "Content-Length: 0"))
    assert await asked(url(server), key=b"sk") == (307, b"")
    assert len(server.requests) == 1


async def test_a_cookie_is_not_sent_back(server: Hostile) -> None:
    server.script = whole(BODY, "200 OK", "Set-Cookie: a=b; Path=/")
    async with connected(at(f"http://localhost:{server.port}"), None) as client:
        await client.get("/a")
        await client.get("/b")
    assert [exchange.request.values("cookie") for exchange in server.requests] == [[], []]


async def test_a_compressed_answer_stays_as_it_is(server: Hostile) -> None:
    """A small one could be decompressed to gigabytes."""
    server.script = whole(b"\x1f\x8b", "200 OK", "Content-Encoding: gzip")
    assert await asked(url(server)) == (200, b"\x1f\x8b")


# --- bounds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stated", [True, False], ids=["with a length", "in chunks"])
async def test_an_answer_has_8_mib(server: Hostile, stated: bool) -> None:
    size = 8 * 2**20

    def of(body: bytes) -> Script:
        return whole(body) if stated else sends(STREAM + chunk(body) + chunk(b"") + b"\r\n")

    server.script = of(b"x" * size)
    assert len((await asked(url(server)))[1]) == size
    server.script = of(b"x" * (size + 1))
    assert "an answer of more than 8388608 bytes" in await failure(url(server))


async def test_an_answer_that_never_ends_is_left_at_its_bound(server: Hostile) -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.send(STREAM)
        while not exchange.connection.gone.is_set():
            await exchange.send(chunk(b"x" * 2**16))

    server.script = endless
    assert "an answer of more than" in await failure(url(server))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await server.requests[0].connection.gone.wait()


async def begun(exchange: Exchange) -> None:
    await exchange.send(head("200 OK", "Content-Length: 9") + b"{")
    await exchange.hold()


@pytest.mark.parametrize("script", [stall, begun])
async def test_an_answer_has_its_seconds_as_a_whole(server: Hostile, script: Script) -> None:
    server.script = script
    began = time.monotonic()
    assert "does not answer `/x` in time" in await failure(url(server), seconds=0.2)
    assert time.monotonic() - began < 2.0


# --- failures -----------------------------------------------------------------------------------------------------


async def test_a_name_that_does_not_resolve_is_told() -> None:
    text = await failure("http://no-such-host.invalid:8000")
    assert "does not resolve" in text
    assert "check its spelling and the DNS" in text


@pytest.mark.parametrize("host", ["x" * 64 + ".example", "1.2.3.4.5"])
async def test_what_is_no_host_is_told(host: str) -> None:
    assert "is no address" in await failure(f"http://{host}:8000")


async def test_a_refused_connection_is_told() -> None:
    text = await failure(f"http://127.0.0.1:{reserve_port()}")
    assert "no connection to" in text
    assert "is a server running there?" in text


async def test_a_port_that_never_accepts_is_told() -> None:
    with deaf_port() as port:
        assert "it did not answer in time; is a server running there?" in await failure(f"http://127.0.0.1:{port}")


FAULTY = {
    "another protocol": (sends(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"), NO_HTTP),
    "a huge head": (sends(head("200 OK", "X: " + "x" * 100_000)), NO_HTTP),
    "many headers": (sends(head("200 OK", *("X: y",) * 1000)), NO_HTTP),
    "two lengths": (
        sends(head("200 OK", "Content-Length: 1", "Content-Length: 2") + b"{}"),
        NO_HTTP,
    ),
    "a reset": (sends(then=Exchange.reset), "broke the connection before it answered"),
    "no answer": (sends(then=Exchange.close), "broke the connection before it answered"),
    "a part": (sends(head("200 OK", "Content-Length: 9") + b"{", then=Exchange.close), "broke off its answer"),
    "a part of a chunk": (sends(STREAM + b"9\r\n{", then=Exchange.close), "broke off its answer"),
}


@pytest.mark.parametrize("case", FAULTY)
async def test_an_answer_that_is_none_is_told(case: str, server: Hostile) -> None:
    server.script, says = FAULTY[case]
    assert says in await failure(url(server))


@contextlib.asynccontextmanager
async def secure(pair: Pair) -> AsyncIterator[int]:
    """A server that answers over TLS; the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head("200 OK", "Content-Length: 2", "Connection: close") + b"{}")
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as listening:
        yield listening.sockets[0].getsockname()[1]


async def test_a_certificate_counts_if_the_host_trusts_it(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    async with secure(pair) as port:
        monkeypatch.setenv("SSL_CERT_FILE", str(pair.certificate))
        assert await asked(f"https://127.0.0.1:{port}") == (200, b"{}")
        monkeypatch.delenv("SSL_CERT_FILE")
        text = await failure(f"https://127.0.0.1:{port}")
    assert "certificate" in text
    assert "is not trusted" in text
    assert "self-signed" in text


async def test_a_server_without_tls_is_told() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(head("400 Bad Request", "Content-Length: 0", "Connection: close"))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        assert "does the server speak TLS?" in await failure(f"https://127.0.0.1:{port}")
