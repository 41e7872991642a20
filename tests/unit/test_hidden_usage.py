"""The usage that a client has not asked for is taken out of its stream, and nothing else is."""

from __future__ import annotations

import pytest

from pointsman.http1.body import ChunkedFraming, MalformedBody
from pointsman.proxy.hidden_usage import HiddenUsage
from support.playbook import LAST, chunk

ONE = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"\\"usage\\": {}"}}],"usage":null}\n\n'
FINISH = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"
COMMENT = b": keep-alive\n\n"
BODY = chunk(ONE) + chunk(COMMENT) + chunk(ONE + FINISH) + chunk(USAGE) + chunk(DONE) + LAST
KEPT = ONE + COMMENT + ONE + FINISH + DONE


def fed(framing: HiddenUsage, *parts: bytes) -> bytes:
    return b"".join(map(framing.feed, parts))


def content(stream: bytes) -> bytes:
    """What a client reads of a chunked body, which must be complete."""
    framing = ChunkedFraming(verbatim=False)
    read = framing.feed(stream)
    assert framing.done
    assert framing.surplus == b""
    return read


def test_wherever_the_stream_is_cut_exactly_the_usage_is_taken_out() -> None:
    for at in range(len(BODY)):
        framing = HiddenUsage(chunked=True)
        assert content(fed(framing, BODY[:at], BODY[at:])) == KEPT
        assert framing.usage == USAGE
        assert framing.done


def test_byte_by_byte_too_and_for_a_client_without_chunks() -> None:
    framing = HiddenUsage(chunked=False)
    assert fed(framing, *(BODY[at : at + 1] for at in range(len(BODY)))) == KEPT
    assert framing.done


def test_a_whole_event_is_passed_on_at_once() -> None:
    framing = HiddenUsage(chunked=False)
    for event in (ONE, COMMENT, FINISH):
        assert framing.feed(chunk(event)) == event


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"choices":[{"index":0}],"usage":{"prompt_tokens":7}}\n\n',
        b'data: {"choices":[],"usage":null}\n\n',
        b'data: {"choices":[]}\n\n',
        b'data: {"choices":{},"usage":{}}\n\n',
        b'data: {"error":{"message":"\\"choices\\":[],\\"usage\\":{}"}}\n\n',
        b'data: not JSON, "usage"\n\n',
        b'event: x\ndata: {"choices":[],"usage":{}}\n\n',
        b'data: {"usage":{},"choices":[]\n\n',
    ],
)
def test_another_event_stays(event: bytes) -> None:
    framing = HiddenUsage(chunked=True)
    assert content(fed(framing, chunk(event), chunk(DONE), LAST)) == event + DONE
    assert framing.usage == b""


def test_events_may_end_with_other_line_ends() -> None:
    framing = HiddenUsage(chunked=True)
    wide = (ONE + USAGE + DONE).replace(b"\n", b"\r\n")
    assert content(fed(framing, chunk(wide), LAST)) == (ONE + DONE).replace(b"\n", b"\r\n")


def test_what_cannot_be_the_event_is_not_held_back() -> None:
    framing = HiddenUsage(chunked=False)
    long = b'data: {"choices":[{"delta":{"content":"' + b"x" * 5000
    assert framing.feed(chunk(long)) == long
    assert framing.feed(chunk(b"y")) == b""
    assert len(framing.feed(chunk(b"y" * 4096))) == 4097


def test_what_is_held_back_comes_with_the_end() -> None:
    framing = HiddenUsage(chunked=True)
    assert content(fed(framing, chunk(b"data: cut"), LAST)) == b"data: cut"


def test_a_stream_that_breaks_off_ends_with_the_error_alone() -> None:
    framing = HiddenUsage(chunked=True)
    framing.feed(chunk(ONE) + chunk(b"data: half"))
    assert framing.interrupted(b"data: error\n\n") == chunk(b"data: error\n\n")
    assert HiddenUsage(chunked=False).interrupted(b"x") == b"x"


def test_what_is_no_chunk_is_malformed_as_ever() -> None:
    with pytest.raises(MalformedBody):
        HiddenUsage(chunked=True).feed(b"zz\r\n")


def test_bytes_behind_the_end_are_told() -> None:
    framing = HiddenUsage(chunked=True)
    framing.feed(chunk(DONE) + LAST + b"HTTP/1.1 200")
    assert framing.surplus == b"HTTP/1.1 200"
