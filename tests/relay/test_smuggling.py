"""What is not plainly one request never becomes another one upstream, let alone two.

A differential run: each case goes to the daemon as raw bytes, and a second parser, as strict as the grammar, stands
behind it. A case is either refused, and nothing of it arrives, or it arrives as exactly the one request that the client
meant. Those that the grammar forbids must be refused; each of them drags a second request along, which would show up
upstream if the two sides disagreed about where the first one ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from support.hostile import Hostile
from support.metrics import until
from support.raw_client import Cut, chat, post
from support.relay import Relay, run_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/v1/chat/completions"
BODY = b'{"model":"base","messages":[]}'
LENGTH = f"Content-Length: {len(BODY)}"
CHUNKED = "Transfer-Encoding: chunked"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
SMUGGLED = post(b'{"model":"base","smuggled":true}', path="/v1/completions")


def raw(*fields: str | bytes, line: str | bytes = f"POST {PATH} HTTP/1.1", body: bytes = BODY) -> bytes:
    """A request with a good `Host` and `Content-Type`, these fields, and CRLF where it belongs."""
    return bare(line, "Host: test", "Content-Type: application/json", *fields, body=body)


def bare(*lines: str | bytes, body: bytes = BODY) -> bytes:
    encoded = [line if isinstance(line, bytes) else line.encode("latin-1") for line in lines]
    return b"\r\n".join([*encoded, b"", b""]) + body


def chunked(body: bytes) -> bytes:
    return raw(CHUNKED, body=body)


N = len(BODY)

FORBIDDEN: dict[str, bytes] = {
    # request line
    "no version": raw(LENGTH, line=f"POST {PATH}"),
    "version 0.9": raw(LENGTH, line=f"POST {PATH} HTTP/0.9"),
    "version 2.0": raw(LENGTH, line=f"POST {PATH} HTTP/2.0"),
    "version 11": raw(LENGTH, line=f"POST {PATH} HTTP/11"),
    "version 1.10": raw(LENGTH, line=f"POST {PATH} HTTP/1.10"),
    "version in lower case": raw(LENGTH, line=f"POST {PATH} http/1.1"),
    "another protocol": raw(LENGTH, line=f"POST {PATH} RTSP/1.0"),
    "tabs in the request line": raw(LENGTH, line=f"POST\t{PATH}\tHTTP/1.1"),
    "space before the method": raw(LENGTH, line=f" POST {PATH} HTTP/1.1"),
    "space in the target": raw(LENGTH, line=f"POST {PATH}?a b HTTP/1.1"),
    "NUL in the target": raw(LENGTH, line=f"POST {PATH}\0 HTTP/1.1"),
    "control character in the target": raw(LENGTH, line=f"POST {PATH}?\x01 HTTP/1.1"),
    "CR in the request line": raw(LENGTH, line=f"POST {PATH}\rX HTTP/1.1"),
    "fragment in the target": raw(LENGTH, line=f"POST {PATH}#a HTTP/1.1"),
    "target without a slash": raw(LENGTH, line="POST v1/chat/completions HTTP/1.1"),
    "target of another host": raw(LENGTH, line=f"POST http://other{PATH} HTTP/1.1"),
    "CONNECT": raw(LENGTH, line="CONNECT 127.0.0.1:22 HTTP/1.1"),
    "target *": raw(LENGTH, line="POST * HTTP/1.1"),
    "method with a parenthesis": raw(LENGTH, line=f"PO(ST {PATH} HTTP/1.1"),
    "method that is unknown": raw(LENGTH, line=f"BREW {PATH} HTTP/1.1"),
    "TRACE": raw(LENGTH, line=f"TRACE {PATH} HTTP/1.1"),
    "path that leads out": raw(LENGTH, line="POST /v1/chat/completions/../../pause HTTP/1.1"),
    "path that leads out, encoded": raw(LENGTH, line="POST /v1/chat/completions/%2e%2e/%2e%2e/pause HTTP/1.1"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("160301020001 0001fc0303".replace(" ", "")) + bytes(200),
    # Host
    "no Host": bare(f"POST {PATH} HTTP/1.1", "Content-Type: application/json", LENGTH),
    "two Hosts": raw("Host: other", LENGTH),
    "the same Host twice": raw("Host: test", LENGTH),
    # fields
    "space before the colon": raw(f"Content-Length : {N}"),
    "tab before the colon": raw(f"Content-Length\t: {N}"),
    "folded field": raw(LENGTH, "X-A: b\r\n c"),
    "folded Transfer-Encoding": raw("Transfer-Encoding:\r\n chunked", body=CHUNKS),
    "space before the first field": bare(f"POST {PATH} HTTP/1.1", " Host: test", LENGTH),
    "field without a colon": raw("X-A", LENGTH),
    "field without a name": raw(": a", LENGTH),
    "NUL in a name": raw(b"X\x00A: b", LENGTH),
    "space in a name": raw("X A: b", LENGTH),
    "parenthesis in a name": raw("X(A: b", LENGTH),
    "name that is not ASCII": raw(b"X-\xc3\xa9: b", LENGTH),
    "NUL in a value": raw(b"X-A: b\x00c", LENGTH),
    "CR in a value": raw(b"X-A: b\rX-B: c", LENGTH),
    "CR that ends the head": raw(LENGTH, b"X-A: b\r\r"),
    # Content-Length
    "length with a plus": raw(f"Content-Length: +{N}"),
    "negative length": raw("Content-Length: -1"),
    "length in hexadecimal": raw(f"Content-Length: 0x{N:x}"),
    "length with an underscore": raw("Content-Length: 3_0"),
    "length with an exponent": raw("Content-Length: 3e1"),
    "length that is a list": raw(f"Content-Length: {N}, {N}"),
    "length that is two": raw(f"Content-Length: {N} {N}"),
    "length that is empty": raw("Content-Length:"),
    "length that is a word": raw("Content-Length: chunked"),
    "length beyond 64 bits": raw(f"Content-Length: {2**64 + N}"),
    "length in other digits": raw(b"Content-Length: \xd9\xa3\xd9\xa0"),
    "length after a vertical tab": raw(f"Content-Length: \x0b{N}"),
    "two lengths": raw(LENGTH, "Content-Length: 0"),
    "two lengths, the smaller first": raw("Content-Length: 0", LENGTH),
    "the same length twice": raw(LENGTH, LENGTH),
    # Transfer-Encoding
    "length and chunks": raw(LENGTH, CHUNKED, body=CHUNKS),
    "chunks and length": raw(CHUNKED, LENGTH, body=CHUNKS),
    "length 0 and chunks": raw("Content-Length: 0", CHUNKED, body=CHUNKS),
    "xchunked": raw("Transfer-Encoding: xchunked", body=CHUNKS),
    "chunked, identity": raw("Transfer-Encoding: chunked, identity", body=CHUNKS),
    "identity": raw("Transfer-Encoding: identity", LENGTH),
    "gzip, chunked": raw("Transfer-Encoding: gzip, chunked", body=CHUNKS),
    "chunked twice in a list": raw("Transfer-Encoding: chunked, chunked", body=CHUNKS),
    "chunked twice": raw(CHUNKED, CHUNKED, body=CHUNKS),
    "chunked and identity": raw(CHUNKED, "Transfer-Encoding: identity", body=CHUNKS),
    "chunked with a parameter": raw("Transfer-Encoding: chunked;q=1", body=CHUNKS),
    "chunked after a vertical tab": raw("Transfer-Encoding: \x0bchunked", body=CHUNKS),
    "chunked in quotes": raw('Transfer-Encoding: "chunked"', body=CHUNKS),
    "coding that is empty": raw("Transfer-Encoding:", LENGTH),
    "coding with a NUL in its name": raw(b"Transfer-Encoding\x00: chunked", LENGTH),
    "chunks in HTTP/1.0": raw(CHUNKED, "Connection: keep-alive", line=f"POST {PATH} HTTP/1.0", body=CHUNKS),
    # chunks
    "chunk size 0x": chunked(b"0x%x\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    "chunk size with a plus": chunked(b"+%x\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    "negative chunk size": chunked(b"-%x\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    "chunk size after a space": chunked(b" %x\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    "chunk size with an underscore": chunked(b"1_e\r\n%s\r\n0\r\n\r\n" % BODY),
    "chunk size that is no number": chunked(b"zz\r\n%s\r\n0\r\n\r\n" % BODY),
    "chunk size that is empty": chunked(b"\r\n%s\r\n0\r\n\r\n" % BODY),
    "chunk size beyond 64 bits": chunked(b"1%016x\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    "bare LF after a chunk size": chunked(b"%x\n%s\r\n0\r\n\r\n" % (N, BODY)),
    "bare CR after a chunk size": chunked(b"%x\r%s\r\n0\r\n\r\n" % (N, BODY)),
    "bare LF after a chunk": chunked(b"%x\r\n%s\n0\r\n\r\n" % (N, BODY)),
    "more in a chunk than its size": chunked(b"%x\r\n%s!\r\n0\r\n\r\n" % (N, BODY)),
    "less in a chunk than its size": chunked(b"%x\r\n%s\r\n0\r\n\r\n" % (N + 1, BODY)),
    "bare LF in a chunk extension": chunked(b"%x;a=\nb\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    "trailer without a colon": chunked(b"%x\r\n%s\r\n0\r\nX\r\n\r\n" % (N, BODY)),
    "trailer with a space before its colon": chunked(b"%x\r\n%s\r\n0\r\nX : a\r\n\r\n" % (N, BODY)),
}

AMBIGUOUS: dict[str, bytes] = {
    "plain": raw(LENGTH),
    "chunked": chunked(CHUNKS),
    "HTTP/1.0": raw(LENGTH, line=f"POST {PATH} HTTP/1.0"),
    "version 1.2": raw(LENGTH, line=f"POST {PATH} HTTP/1.2"),
    "two spaces in the request line": raw(LENGTH, line=f"POST  {PATH}  HTTP/1.1"),
    "space after the version": raw(LENGTH, line=f"POST {PATH} HTTP/1.1 "),
    "method in lower case": raw(LENGTH, line=f"post {PATH} HTTP/1.1"),
    "empty line first": b"\r\n" + raw(LENGTH),
    "target in absolute form": raw(LENGTH, line=f"POST http://test{PATH} HTTP/1.1"),
    "target with a query": raw(LENGTH, line=f"POST {PATH}?a=b%20c HTTP/1.1"),
    "target that is not ASCII": raw(LENGTH, line=f"POST {PATH}?\xe9 HTTP/1.1"),
    "slash at the end": raw(LENGTH, line=f"POST {PATH}/ HTTP/1.1"),
    "bare LF everywhere": raw(LENGTH).replace(b"\r\n", b"\n"),
    "bare LF after one field": raw(LENGTH, b"X-A: b\nX-B: c"),
    "Host that is empty": bare(f"POST {PATH} HTTP/1.1", "Host:", "Content-Type: application/json", LENGTH),
    "Host with a path": bare(f"POST {PATH} HTTP/1.1", "Host: a/b", "Content-Type: application/json", LENGTH),
    "value that is not ASCII": raw(LENGTH, b"X-A: \xc3\xa9"),
    "value that is empty": raw(LENGTH, "X-A:"),
    "underscores for hyphens": raw(LENGTH, "Transfer_Encoding: chunked", "Content_Length: 0"),
    "length with zeros": raw(f"Content-Length: 000{N}"),
    "length with spaces around": raw(f"Content-Length: \t {N} \t"),
    "length in capitals": raw(f"CONTENT-LENGTH: {N}"),
    "Chunked in capitals": raw("TRANSFER-ENCODING: CHUNKED", body=CHUNKS),
    "chunked after a tab": raw("Transfer-Encoding:\tchunked", body=CHUNKS),
    "chunked and a comma": raw("Transfer-Encoding: chunked,", body=CHUNKS),
    "chunk size with zeros": chunked(b"0000%x\r\n%s\r\n000\r\n\r\n" % (N, BODY)),
    "chunk size in capitals": chunked(b"%X\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    "space after a chunk size": chunked(b"%x \r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    "chunk extension": chunked(b'%x;a=b;c="d"\r\n%s\r\n0;e\r\n\r\n' % (N, BODY)),
    "many chunks": chunked(b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"),
    "trailers that would frame": chunked(b"%x\r\n%s\r\n0\r\nContent-Length: 5\r\nHost: other\r\n\r\n" % (N, BODY)),
    "Connection nominates the length": raw(LENGTH, "Connection: keep-alive, Content-Length, Host"),
    "Connection nominates the coding": raw(CHUNKED, "Connection: Transfer-Encoding", body=CHUNKS),
    "upgrade to h2c": raw(LENGTH, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
    "upgrade to websocket": raw(LENGTH, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x"),
    "Expect that is unknown": raw(LENGTH, "Expect: the-unexpected"),
    "two content types": raw(LENGTH, "Content-Type: text/plain"),
    "TE": raw(LENGTH, "TE: trailers, chunked", "Trailer: Content-Length"),
    "request id with a line in it": raw(LENGTH, "X-Request-Id: a%0d%0aX-B: c"),
    "127 fields": raw(LENGTH, *(f"X-{number}: a" for number in range(124))),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strict_daemon(shared_upstream: Hostile, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Relay]:
    """What is not whole is cut off soon."""
    options: Any = {
        "server": {"header_timeout_ms": 1_000, "body_timeout_ms": 1_000},
        "adapters": {"poll_interval_ms": 0},
    }
    async with run_relay(tmp_path_factory.mktemp("strict"), shared_upstream, **options) as relay:
        yield relay


@pytest_asyncio.fixture(loop_scope="session")
async def strict(strict_daemon: Relay, upstream: Hostile) -> AsyncIterator[Relay]:
    """At the end of each case nothing is left of it, and the daemon serves."""
    yield strict_daemon
    await until(strict_daemon.daemon, "requests_in_flight", 0)
    assert (await strict_daemon.ask(chat())).status == 200


async def first_status(relay: Relay, case: bytes) -> int | None:
    """Of the first answer; None where the connection was closed without one."""
    async with relay.client() as client:
        client.send(case)
        try:
            return (await client.answer()).status
        except Cut:
            return None


@pytest.mark.parametrize("name", FORBIDDEN)
async def test_what_the_grammar_forbids_is_refused_and_nothing_of_it_arrives(strict: Relay, name: str) -> None:
    status = await first_status(strict, FORBIDDEN[name] + SMUGGLED)

    assert status is None or 400 <= status < 500 or status in {501, 505}
    assert [(exchange.request.target, exchange.request.body) for exchange in strict.upstream.requests] == []
    assert strict.upstream.malformed == []


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_what_may_be_taken_arrives_as_the_one_request_that_was_meant_or_not_at_all(
    strict: Relay, name: str
) -> None:
    status = await first_status(strict, AMBIGUOUS[name])
    arrived = [exchange.request for exchange in strict.upstream.requests]

    assert strict.upstream.malformed == []
    if status == 200:
        (request,) = arrived
        assert (request.method.upper(), request.target.partition("?")[0], request.body) == ("POST", PATH, BODY)
        assert {"upgrade", "te", "trailer"}.isdisjoint(field.lower() for field, _ in request.headers)
        assert request.values("host") != ["test"], "vLLM's own, whatever the client calls it"
    else:
        assert status is None or 400 <= status < 500 or status in {501, 505}
        assert arrived == []


async def test_there_are_at_least_60_malformed_requests() -> None:
    assert len(FORBIDDEN) >= 60


async def test_a_request_behind_a_refused_one_is_never_served(strict: Relay) -> None:
    """The one before it is answered first."""
    async with strict.client() as client:
        client.send(post(chat("first")))
        await strict.upstream.arrived()
        client.send(raw("Content-Length: +1") + SMUGGLED)
        first, second = await client.answer(), await client.answer()
        assert (first.status, second.status) == (200, 400)
        assert await client.rest() == b""
    assert len(strict.upstream.requests) == 1


async def test_no_refusal_repeats_what_the_client_sent(strict: Relay) -> None:
    """It may be another's, or an attack on whoever reads the answer."""
    async with strict.client() as client:
        client.send(b"GET /<script>alert(1)</script>\x01 HTTP/1.1\r\n\r\n")
        got = await client.answer()

    assert got.status == 400
    assert b"script" not in got.body
    await asyncio.sleep(0)
    assert "script" not in strict.daemon.log_text()
