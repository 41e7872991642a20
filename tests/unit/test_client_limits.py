"""How slowly, how much and how many a client may send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest

from pointsman.config.model import ServerOptions
from support.playbook import OK, Wire, playing, post

HEAD = post().partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
BODY = post().partition(b"\r\n\r\n")[2]
JSON = b"POST /v1/chat/completions HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"


def over(wire: Wire) -> bool:
    """The client was told that nothing more will come."""
    return wire.client.eof or wire.client.closing


def limited(**options: int) -> ServerOptions:
    return ServerOptions(**cast("Any", {"header_timeout_ms": 1_000, "body_timeout_ms": 1_000} | options))


# --- time ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def wire() -> Iterator[Wire]:
    """The limits of `limited`."""
    with playing(server=limited()) as made:
        yield made


@pytest.mark.parametrize("start", [b"", b"P", b"POST / HTTP/1.1\r\nHo", HEAD[:-2]])
def test_a_head_that_is_not_whole_in_time_is_a_408(wire: Wire, start: bytes) -> None:
    wire.client.sends(start)
    wire.clock.advance(0.75)
    assert wire.client.taken == b""
    wire.clock.advance(0.25)
    if start:
        assert wire.error == (408, "request_timeout")
        assert wire.refused == ["header_timeout"]
    assert over(wire) is bool(start)


def test_a_head_that_drips_has_no_more_time(wire: Wire) -> None:
    for byte in HEAD[:8]:
        wire.client.sends(bytes([byte]))
        wire.clock.advance(0.125)
    assert wire.error == (408, "request_timeout")


def test_the_head_of_a_second_request_has_the_same_time(wire: Wire) -> None:
    wire.ask().sends(OK)
    wire.clock.advance(30.0)
    wire.client.sends(HEAD[:9])
    wire.clock.advance(0.75)
    assert not over(wire)
    wire.clock.advance(0.25)
    assert wire.error == (408, "request_timeout")


def test_so_has_one_that_began_before_the_first_was_answered(wire: Wire) -> None:
    """The time that the answer took is not the client's."""
    wire.ask()
    wire.client.sends(HEAD[:9])
    wire.clock.advance(3.0)
    wire.upstream.sends(OK)
    wire.clock.advance(0.75)
    assert not over(wire)
    wire.clock.advance(0.25)
    assert wire.error == (408, "request_timeout")


@pytest.mark.parametrize("body", [b"", BODY[:1], BODY[:-1]], ids=["nothing", "a byte", "all but one"])
def test_a_body_that_is_not_whole_in_time_is_a_408(wire: Wire, body: bytes) -> None:
    wire.client.sends(HEAD + body)
    wire.clock.advance(0.75)
    assert wire.client.taken == b""
    wire.clock.advance(0.25)
    assert wire.error == (408, "request_timeout")
    assert over(wire)
    assert wire.a.connections == []


@pytest.mark.parametrize(
    ("framing", "piece"), [("Content-Length: 10000", b" "), ("Transfer-Encoding: chunked", b"1\r\n \r\n")]
)
def test_a_body_that_drips_has_no_more_time(wire: Wire, framing: str, piece: bytes) -> None:
    wire.client.sends(JSON + framing.encode() + b"\r\n\r\n")
    for _ in range(8):
        assert wire.client.taken == b""
        wire.client.sends(piece)
        wire.clock.advance(0.125)
    assert wire.error == (408, "request_timeout")
    assert 'pointsman_refused_total{reason="body_timeout"} 1.0' in wire.generations.metrics.render().decode()
    assert wire.a.connections == []


# --- size ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "status"), [(2_000, 200), (2_001, 413)])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_has_a_limit(size: int, status: int, chunked: bool) -> None:
    with playing(server=limited(max_body_bytes=2_000)) as wire:
        body = BODY.ljust(size)
        if chunked:
            framed = b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)
        else:
            framed = b"Content-Length: %d\r\n\r\n" % size + body
        wire.client.sends(JSON + framed)
        if status == 200:
            wire.upstream.sends(OK)
        assert wire.answer.status == status
        assert wire.outcomes()[0]["status"] == status


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes() -> None:
    with playing(server=limited(max_body_bytes=2_000)) as wire:
        wire.client.sends(b"POST /v1/embeddings HTTP/1.1\r\nHost: here\r\nContent-Length: 2001\r\n\r\n")
        assert wire.error == (413, "body_too_large")


def test_a_refused_client_may_read_its_answer_for_two_seconds_while_it_still_sends() -> None:
    """Were the connection closed over the bytes that it sends, its kernel would throw the answer away unread."""
    with playing(server=limited(max_body_bytes=2_000)) as wire:
        wire.client.sends(b"POST /v1/embeddings HTTP/1.1\r\nHost: here\r\nContent-Length: 9999\r\n\r\n")
        assert (wire.client.eof, wire.client.closing) == (True, False)
        wire.client.sends(b"x" * 5_000)
        wire.clock.advance(1.75)
        assert not wire.client.closing
        wire.clock.advance(0.25)
        assert wire.client.aborted


def test_one_that_closes_meanwhile_is_gone_at_once() -> None:
    with playing(server=limited(max_body_bytes=2_000)) as wire:
        wire.client.sends(b"POST /v1/embeddings HTTP/1.1\r\nHost: here\r\nContent-Length: 9999\r\n\r\n")
        wire.client.ends()
        assert wire.client.closed
        assert wire.listener.connections == set()


def test_a_compressed_body_is_a_415_and_is_never_unpacked(wire: Wire) -> None:
    wire.client.sends(HEAD[:-2] + b"Content-Encoding: gzip\r\n\r\n" + BODY)
    assert wire.error == (415, "unsupported_encoding")
    assert wire.a.connections == []


# --- number --------------------------------------------------------------------------------------------------------


def test_a_client_that_is_late_is_told_whose_fault_it_is(wire: Wire) -> None:
    wire.client.sends(b"GET")
    wire.clock.advance(1.0)
    assert json.loads(wire.answer.body)["error"] == {
        "message": "the request's head did not arrive in time",
        "type": "invalid_request_error",
        "param": None,
        "code": "request_timeout",
    }
