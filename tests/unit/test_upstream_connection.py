"""One connection to vLLM: what is an answer, what may be asked again, and when the connection is used again."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import pytest

from support.playbook import LAST, OK, OPEN, STREAM, Wire, event, post, with_length
from support.virtual_loop import FakeTransport

PARTS = [
    pytest.param(b"H", id="a byte"),
    pytest.param(STREAM[:-2], id="half a head"),
    pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", id="a 100"),
]
ENDINGS = pytest.mark.parametrize("ending", ["ends", "resets"])


# --- what may be asked again --------------------------------------------------------------------------------------


@ENDINGS
def test_a_reused_connection_that_dies_at_once_is_no_loss(wire: Wire, ending: str) -> None:
    wire.ask().sends(OK)
    reused = wire.ask("base", "/v1/chat/completions", "X-Request-Id: again")
    getattr(reused, ending)()
    fresh = wire.upstream
    assert fresh is not reused
    assert reused.written.endswith(fresh.written), "the very same request"
    fresh.sends(OK)
    (tried,) = wire.outcomes()[-1]["retried"]
    assert (tried["endpoint"], tried["why"]) == ("a", "reused")
    assert "had closed an idle connection" in tried["proof"]


@ENDINGS
def test_a_new_connection_that_dies_is_never_asked_again(wire: Wire, ending: str) -> None:
    """The request may have started."""
    getattr(wire.ask(), ending)()
    assert wire.error == (502, "upstream_broken")
    assert wire.a.requests + wire.b.requests == 1


@ENDINGS
@pytest.mark.parametrize("part", PARTS)
def test_a_reused_connection_that_dies_after_a_byte_is_never_asked_again(wire: Wire, ending: str, part: bytes) -> None:
    wire.ask().sends(OK)
    reused = wire.ask()
    reused.sends(part)
    getattr(reused, ending)()
    assert wire.error == (502, "upstream_broken")
    assert wire.a.requests == 2


@pytest.mark.parametrize(("seconds", "asked"), [(0.99, 3), (1.0, 2)])
def test_a_reused_connection_that_dies_a_second_later_is_never_asked_again(
    wire: Wire, seconds: float, asked: int
) -> None:
    """No closing of an idle connection takes so long to be heard of, so the request may have started."""
    wire.ask().sends(OK)
    reused = wire.ask()
    wire.clock.advance(seconds)
    reused.ends()
    assert wire.a.requests == asked


def test_the_second_try_is_on_a_new_connection_and_is_the_last(wire: Wire) -> None:
    """However many are in the pool, which may all be dead."""
    clients = [wire.connect() for _ in range(5)]
    for client in clients:
        wire.client = client
        wire.ask()
    for connection in wire.a.connections:
        connection.sends(OK)
    assert len(wire.pooled) == 5
    wire.ask().ends()
    assert len(wire.a.connections) == 6
    wire.upstream.ends()
    assert wire.error == (502, "upstream_broken")


# --- the head -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        pytest.param(STREAM + event("one") + LAST, b'data: {"word": "one"}\n\n', id="chunks"),
        pytest.param(with_length(b"[1, 2]"), b"[1, 2]", id="a length"),
    ],
)
def test_an_answer_may_come_byte_by_byte(wire: Wire, answer: bytes, body: bytes) -> None:
    upstream = wire.ask()
    for byte in answer:
        upstream.sends(bytes([byte]))
    assert (wire.answer.body, wire.answer.whole) == (body, True)


@pytest.mark.parametrize("joined", [False, True])
def test_answers_with_1xx_are_skipped(wire: Wire, joined: bool) -> None:
    before = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    upstream = wire.ask()
    for part in [before + OK] if joined else [before, OK]:
        upstream.sends(part)
    assert (wire.answer.status, wire.answer.body) == (200, b"{}")
    assert b"Early" not in wire.client.taken


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n", id="a status that is no number"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n", id="a length that is no number"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", id="a negative length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n", id="a NUL in a field"),
        pytest.param(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", id="a line without a colon"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", id="a switch of protocols"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", id="two lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", id="a coding that nobody knows"),
    ],
)
def test_what_is_no_answer_is_a_502_and_ends_the_connection(wire: Wire, answer: bytes) -> None:
    upstream = wire.ask()
    upstream.sends(answer)
    assert wire.error == (502, "upstream_broken")
    assert upstream.aborted


@pytest.mark.parametrize(("size", "code"), [(65_536, 200), (65_537, 502)])
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_head_has_64_kib(wire: Wire, size: int, code: int, pieces: int) -> None:
    start, end = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ", b"\r\n\r\n"
    head = start + b"x" * (size - len(start + end)) + end
    upstream = wire.ask()
    step = -(-len(head) // pieces)
    for at in range(0, len(head), step):
        upstream.sends(head[at : at + step])
    assert wire.answer.status == code


def test_a_head_without_an_end_is_given_up_at_64_kib(wire: Wire) -> None:
    upstream = wire.ask()
    upstream.sends(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 65_516)
    assert wire.client.taken == b""
    upstream.sends(b"x")
    assert wire.error == (502, "upstream_broken")
    assert upstream.aborted


# --- used again, or not -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [OK, STREAM + event("one") + LAST], ids=["a length", "chunks"])
def test_a_whole_answer_leaves_a_connection_for_the_next_request(wire: Wire, answer: bytes) -> None:
    first = wire.ask()
    first.sends(answer)
    assert wire.ask() is first


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", id="vLLM will close it"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", id="HTTP/1.0"),
        pytest.param(OK + b"HTTP/1.1 200 OK", id="more than the answer"),
    ],
)
def test_a_connection_that_cannot_be_used_again_is_closed(wire: Wire, answer: bytes) -> None:
    first = wire.ask()
    first.sends(answer)
    assert (wire.answer.body, wire.answer.whole) == (b"{}", True)
    assert first.aborted
    assert wire.ask() is not first


def test_what_comes_after_an_answer_never_answers_the_next_request(wire: Wire) -> None:
    idle = wire.ask()
    idle.sends(OK)
    idle.sends(with_length(b"forged"))
    assert idle.aborted
    wire.ask().sends(OK)
    assert b"forged" not in wire.client.taken


def test_an_answer_before_the_body_was_written_leaves_the_rest_of_it_to_nobody(wire: Wire) -> None:
    """The unwritten rest would come before the head of the next request."""
    upstream = wire.ask()
    upstream.sends(OK)
    upstream.pauses()
    wire.ask()
    upstream.sends(with_length(b"{}", "413 Content Too Large"))
    assert wire.answer.status == 413
    assert upstream.aborted
    assert wire.pooled == []


def test_head_and_body_of_a_request_leave_in_one_write(wire: Wire) -> None:
    before = wire.clock.writes
    wire.ask()
    assert wire.clock.writes == before + 1


def test_with_three_connections_in_use_a_request_is_written_at_once(wire: Wire) -> None:
    for number in range(2):
        wire.connect(f"192.0.2.{2 + number}").sends(post())
    wire.ask().sends(OK)
    (idle,) = wire.pooled
    written = idle.written

    def asked() -> bytes:
        wire.client._protocol.data_received(post())
        return idle.written

    assert wire.clock.do(asked) > written


def test_with_four_it_is_written_at_the_end_of_the_turn_so_a_client_that_leaves_at_once_has_sent_nothing(
    wire: Wire,
) -> None:
    for number in range(3):
        wire.connect(f"192.0.2.{2 + number}").sends(post())
    wire.ask().sends(OK)

    def comes_and_goes() -> None:
        protocol = wire.client._protocol
        protocol.data_received(post())
        wire.client.abort()
        protocol.connection_lost(None)
        wire.client.lost = True

    (idle,) = wire.pooled
    written = idle.written
    wire.clock.do(comes_and_goes)
    assert idle.written == written
    assert idle.aborted
    assert wire.outcomes()[-1]["status"] == 499


def test_a_body_without_an_end_that_is_reset_is_not_whole(wire: Wire) -> None:
    upstream = wire.ask()
    upstream.sends(OPEN + b"half")
    upstream.resets()
    assert not wire.answer.whole


@pytest.mark.parametrize(("size", "joined"), [(65_536, True), (65_537, False)])
def test_a_body_of_more_than_64_kib_is_not_copied(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, size: int, joined: bool
) -> None:
    """It goes out beside the head, still in one write."""
    parts: list[int] = []
    written = FakeTransport.writelines

    def writelines(transport: FakeTransport, data: Sequence[bytes]) -> None:
        parts.append(len(data))
        written(transport, data)

    monkeypatch.setattr(FakeTransport, "writelines", writelines)
    head, _, body = post().partition(b"\r\n\r\n")
    head = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % size, head)
    wire.client.sends(head + b"\r\n\r\n" + body.ljust(size))
    assert wire.upstream.written.endswith(body.ljust(size))
    assert parts == ([] if joined else [2])


# --- long bodies ---------------------------------------------------------------------------------------------------

LONG = 2**19


def long_request(size: int = LONG) -> bytes:
    head, _, body = post().partition(b"\r\n\r\n")
    return re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % size, head) + b"\r\n\r\n" + body.ljust(size)


def test_a_long_body_is_written_by_a_quarter_of_a_mib_in_each_turn(wire: Wire) -> None:
    """One write of all lasts as long as vLLM reads."""
    idle = wire.ask()
    idle.sends(OK)
    sizes: list[int] = []

    def look() -> None:
        sizes.append(len(idle.written))
        if len(sizes) < 20:
            wire.clock.call_soon(look)

    before = len(idle.written)
    wire.clock.call_soon(look)
    wire.client.sends(long_request())
    steps = [after - at for at, after in itertools.pairwise([before, *dict.fromkeys(sizes)])]
    assert idle.written.endswith(long_request().partition(b"\r\n\r\n")[2])
    assert max(steps) < 2**18 + 1000
    assert len([step for step in steps if step]) >= LONG // 2**18


def test_a_long_body_waits_while_vllm_does_not_read(wire: Wire) -> None:
    upstream = wire.ask()
    upstream.sends(OK)
    upstream.pauses()
    before = len(upstream.written)
    wire.client.sends(long_request())
    assert len(upstream.written) < before + 2**18 + 1000
    upstream.reads_on()
    assert upstream.written.endswith(long_request().partition(b"\r\n\r\n")[2])
    upstream.sends(OK)
    assert wire.answer.status == 200
    assert wire.pooled == [upstream]


def test_an_answer_before_a_long_body_was_written_ends_the_connection(wire: Wire) -> None:
    upstream = wire.ask()
    upstream.sends(OK)
    upstream.pauses()
    wire.client.sends(long_request())
    written = upstream.written
    upstream.taken = written  # the socket took the piece, the rest is not written yet
    upstream.sends(with_length(b"{}", "413 Content Too Large"))
    assert wire.answer.status == 413
    assert upstream.aborted
    assert upstream.written == written
    assert wire.pooled == []


def test_a_connection_that_is_kept_does_not_keep_a_long_body(wire: Wire) -> None:
    upstream = wire.ask()
    upstream.sends(OK)
    wire.client.sends(long_request())
    upstream.sends(OK)
    (reusable,) = wire.pooled
    assert not reusable._protocol._upload._left


def test_nothing_is_written_for_a_client_that_left(wire: Wire) -> None:
    idle = wire.ask()
    idle.sends(OK)
    before = len(idle.written)

    def leave_once_a_part_is_written() -> None:
        if len(idle.written) > before:
            wire.client.abort()
        else:
            wire.clock.call_soon(leave_once_a_part_is_written)

    wire.clock.call_soon(leave_once_a_part_is_written)
    wire.client.sends(long_request(2 * LONG))
    assert idle.aborted
    assert 0 < len(idle.written) - before < 2 * LONG
