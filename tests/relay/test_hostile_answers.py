"""What an upstream can do wrong in its answer, and what of it the client sees."""

from __future__ import annotations

import asyncio
import json
import zlib
from typing import Any

import pytest

from support.hostile import DONE, STREAM, Exchange, chunk, event, head, sends, streams, whole
from support.raw_client import Cut, chat, post, request_head
from support.relay import Relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

JSON = "Content-Type: application/json"
BODY = b'{"object": "chat.completion", "choices": []}'


def closed(exchange: Exchange) -> None:
    exchange.close()


def reset(exchange: Exchange) -> None:
    exchange.reset()


async def cut(relay: Relay, body: Any = None) -> bytes:
    """What came of an answer that must be seen to be broken: cut, or a 502 where the fault came with the head."""
    try:
        got = await relay.ask(body)
    except Cut as broken:
        return broken.got
    assert (got.status, got.code) == (502, "upstream_broken")
    return b""


def error_frame(got: bytes) -> dict[str, Any]:
    """The error in the last event of a stream."""
    assert got.endswith(b"\n\n"), got
    last = got.rstrip().split(b"\n\n")[-1]
    error: dict[str, Any] = json.loads(last.removeprefix(b"data: "))["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


# --- before the head --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [closed, reset])
@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\nContent-Ty"], ids=["nothing", "half a head"])
async def test_a_connection_that_ends_before_the_head_is_a_502(relay: Relay, ending: Any, part: bytes) -> None:
    relay.upstream.script = sends(part, then=ending) if part else sends(then=ending)
    got = await relay.ask()

    assert (got.status, got.code) == (502, "upstream_broken")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n", id="status that is no number"),
        pytest.param(head("200 OK", "Content-Length: ten"), id="length that is no number"),
        pytest.param(head("200 OK", "Content-Length: -1"), id="negative length"),
        pytest.param(head("200 OK", "Content-Length: 1", "Content-Length: 2") + b"ab", id="two lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-A: b\x00c\r\nContent-Length: 0\r\n\r\n", id="NUL in a field"),
        pytest.param(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", id="line without colon"),
    ],
)
async def test_a_head_that_is_no_head_is_a_502_and_none_of_it_passed_on(relay: Relay, answer: bytes) -> None:
    relay.upstream.script = sends(answer, then=closed)
    got = await relay.ask()

    assert (got.status, got.code) == (502, "upstream_broken")


async def test_headers_just_below_the_limit_pass(relay: Relay) -> None:
    """h11, which uvicorn may run on, knows no limit for an answer; ours is the one that aiohttp has for a field."""
    value = "x" * 8000
    relay.upstream.script = whole(BODY, "200 OK", JSON, f"X-Long: {value}", *(f"X-{n}: {n}" for n in range(90)))
    got = await relay.ask()

    assert (got.status, got.body, got.value("X-Long"), got.value("X-89")) == (200, BODY, value, "89")


async def test_endless_headers_are_a_502(relay: Relay) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.send(b"HTTP/1.1 200 OK\r\n")
        for number in range(20_000):
            await exchange.send(b"X-%d: %s\r\n" % (number, b"x" * 100))
        await exchange.hold()

    relay.upstream.script = script
    got = await relay.ask()

    assert (got.status, got.code) == (502, "upstream_broken")
    assert relay.upstream.requests[0].connection.gone.is_set() or await _gone(relay)


async def _gone(relay: Relay) -> bool:
    async with asyncio.timeout(5):
        await relay.upstream.requests[0].connection.gone.wait()
    return True


async def test_answers_with_1xx_are_skipped(relay: Relay) -> None:
    parts = (
        head("100 Continue"),
        head("103 Early Hints", "Link: </x>"),
        head("200 OK", JSON, f"Content-Length: {len(BODY)}"),
    )
    relay.upstream.script = sends(*parts, BODY)
    got = await relay.ask()

    assert (got.status, got.body, got.values("Link")) == (200, BODY, [])


async def test_a_switch_of_protocols_is_a_502(relay: Relay) -> None:
    relay.upstream.script = sends(
        head("101 Switching Protocols", "Upgrade: websocket", "Connection: upgrade"), b"\x81\x00"
    )
    got = await relay.ask()

    assert got.status == 502


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
async def test_a_redirect_is_an_upstream_error_that_never_opens_the_breaker(relay: Relay, status: str) -> None:
    """More redirects in a row than failures that would open it; none is passed on."""
    relay.upstream.script = whole(b"", status, "Location: http://10.0.0.1/")
    for _ in range(8):
        got = await relay.ask()
        assert (got.status, got.code, got.values("Location")) == (502, "upstream_error", [])

    metrics = await relay.metrics()
    assert (metrics.total("endpoint_breaker_open"), metrics.total("endpoint_up")) == (0, 1)


# --- the body ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [closed, reset])
async def test_a_body_shorter_than_its_length_is_seen_to_be_cut(relay: Relay, ending: Any) -> None:
    relay.upstream.script = sends(head("200 OK", JSON, "Content-Length: 1000") + BODY, then=ending)

    assert await cut(relay) in {BODY, b""}


async def test_more_than_the_length_says_is_never_passed_on_nor_taken_for_the_next_answer(relay: Relay) -> None:
    smuggled = head("200 OK", JSON, "Content-Length: 8") + b"smuggled"
    relay.upstream.script = sends(head("200 OK", JSON, f"Content-Length: {len(BODY)}") + BODY + smuggled)
    async with relay.client() as client:
        client.send(post(chat()))
        first = await client.answer()
        relay.upstream.script = whole(b"[]")
        client.send(post(chat()))
        second = await client.answer()

    assert (first.body, second.body) == (BODY, b"[]")


@pytest.mark.parametrize("number", [b"9" * 400, b"1e400", b"-1"], ids=["400 digits", "exponent", "negative"])
async def test_a_usage_with_absurd_numbers_breaks_neither_the_request_nor_the_metrics(
    relay: Relay, number: bytes
) -> None:
    answer = b'{"usage": {"prompt_tokens": %b, "completion_tokens": %b}}' % (number, number)
    before = (await relay.metrics()).total("tokens_total")
    relay.upstream.script = whole(answer)

    assert (await relay.ask()).body == answer

    metrics = await relay.metrics()
    assert (metrics.total("requests_in_flight"), metrics.total("tokens_total")) == (0, before)


async def test_what_comes_after_an_answer_never_answers_the_next_request(relay: Relay) -> None:
    """An answer nobody asked for, sent while the connection is idle: the connection is not used again."""

    async def script(exchange: Exchange) -> None:
        await whole(BODY)(exchange)
        await exchange.send(head("200 OK", JSON, "Content-Length: 8") + b"smuggled")

    relay.upstream.script = script
    first = await relay.ask()
    await asyncio.wait_for(relay.upstream.requests[0].connection.gone.wait(), 10)
    relay.upstream.script = whole(b"[]")
    second = await relay.ask()

    assert (first.body, second.body) == (BODY, b"[]")


@pytest.mark.parametrize("ending", [closed, reset])
@pytest.mark.parametrize("part", [b"", b"5\r\nab", b"2\r\nab\r\n", b"2\r\nab", b"zz\r\n"], ids=str)
async def test_a_chunked_body_that_ends_short_is_seen_to_be_cut(relay: Relay, ending: Any, part: bytes) -> None:
    start = head("200 OK", JSON, "Transfer-Encoding: chunked") + chunk(b"[")
    relay.upstream.script = sends(start + part, then=ending)

    assert await cut(relay) in {b"[", b"[ab", b""}


async def broken_stream(relay: Relay, events: bytes, ending: Any) -> bytes:
    """What comes after these events where the upstream breaks off; the client must see that it is not whole."""

    async def script(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.send(STREAM + chunk(events))
        await exchange.hold()

    relay.upstream.script = script
    got = b""
    async with relay.client() as client:
        client.send(post(chat(stream=True)))
        assert (await client.head())[0] == 200
        with pytest.raises(Cut):  # noqa: PT012 - what came before it counts
            async for data in client.chunks():
                got += data
                if got == events:
                    ending(relay.upstream.requests[0])
    assert got.startswith(events)
    return got[len(events) :]


@pytest.mark.parametrize("ending", [closed, reset])
async def test_a_stream_that_breaks_ends_with_an_error_event_and_is_seen_to_be_cut(relay: Relay, ending: Any) -> None:
    got = await broken_stream(relay, event("one"), ending)

    assert error_frame(got)["code"] == "upstream_broken"
    assert DONE not in got


async def test_a_stream_that_breaks_inside_an_event_ends_with_an_error_event_of_its_own(relay: Relay) -> None:
    """The torn event is ended first, or the error would be part of it."""
    got = await broken_stream(relay, event("one") + b'data: {"half', reset)

    assert got.startswith(b"\n\n")
    assert error_frame(got)["code"] == "upstream_broken"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_byte_at_a_time_is_passed_on_whole(relay: Relay, stream: bool) -> None:
    expected = event("one") + DONE if stream else BODY
    if stream:
        raw = STREAM + chunk(expected) + chunk(b"") + b"\r\n"
    else:
        raw = head("200 OK", JSON, f"Content-Length: {len(BODY)}") + BODY

    async def script(exchange: Exchange) -> None:
        await exchange.body()
        for position in range(len(raw)):
            await exchange.send(raw[position : position + 1])
            await asyncio.sleep(0)

    relay.upstream.script = script
    got = await relay.ask(chat(stream=stream))

    assert (got.status, got.body) == (200, expected)


async def test_an_answer_of_http_1_0_ends_with_its_connection(relay: Relay) -> None:
    relay.upstream.script = sends(head("200 OK", JSON, version="1.0") + BODY, then=closed)
    got = await relay.ask()

    assert (got.status, got.body) == (200, BODY)


async def test_an_answer_without_a_length_that_is_reset_is_seen_to_be_cut(relay: Relay) -> None:
    relay.upstream.script = sends(head("200 OK", JSON, "Connection: close") + BODY, then=reset)

    assert await cut(relay) in {BODY, b""}


async def test_a_client_of_http_1_0_gets_chunks_without_their_framing(relay: Relay) -> None:
    """It knows no chunks: its answer ends with the connection."""
    relay.upstream.script = streams(["one", "two"])
    async with relay.client() as client:
        client.send(post(chat(stream=True)).replace(b"HTTP/1.1", b"HTTP/1.0"))
        head_, _, body = (await client.rest()).partition(b"\r\n\r\n")

    assert head_.split()[1] == b"200"
    assert b"transfer-encoding" not in head_.lower()
    assert body == event("one") + event("two") + DONE


async def test_a_connection_that_its_server_will_close_is_not_used_again(relay: Relay) -> None:
    relay.upstream.script = whole(BODY, "200 OK", JSON, "Connection: close")
    await relay.ask()
    await relay.ask()

    first, second = relay.upstream.requests
    assert first.connection is not second.connection


async def test_trailers_do_not_break_the_answer(relay: Relay) -> None:
    end = chunk(b"") + b"X-Trailer: 1\r\n\r\n"
    relay.upstream.script = sends(
        head("200 OK", JSON, "Transfer-Encoding: chunked", "Trailer: X-Trailer"), chunk(BODY), end
    )
    got = await relay.ask()

    assert (got.status, got.body) == (200, BODY)


async def test_chunk_extensions_do_not_break_the_answer(relay: Relay) -> None:
    relay.upstream.script = sends(
        head("200 OK", JSON, "Transfer-Encoding: chunked"), b"%x;a=b\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    )
    got = await relay.ask()

    assert (got.status, got.body) == (200, BODY)


async def test_a_compressed_answer_is_passed_on_as_it_is(relay: Relay) -> None:
    packed = zlib.compress(BODY)
    relay.upstream.script = whole(packed, "200 OK", JSON, "Content-Encoding: deflate", "Vary: Accept-Encoding")
    got = await relay.ask(None, "Accept-Encoding: deflate")

    assert (got.body, got.value("Content-Encoding"), got.value("Vary")) == (packed, "deflate", "Accept-Encoding")
    assert relay.upstream.requests[0].request.values("Accept-Encoding") == ["deflate"]


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_an_answer_that_has_no_body_by_definition_leaves_the_connection_in_order(
    relay: Relay, status: str
) -> None:
    async with relay.client() as client:
        relay.upstream.script = sends(head(status))
        client.send(post(chat()))
        first = await client.answer(within_s=5)
        relay.upstream.script = whole(BODY)
        client.send(post(chat()))
        second = await client.answer(within_s=5)

    assert first.status in {int(status[:3]), 502}
    assert second.body == BODY


# --- what the upstream says -------------------------------------------------------------------------------------


@pytest.mark.parametrize("retry_after", [None, "7"])
@pytest.mark.parametrize("status", ["500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable"])
async def test_an_error_of_the_upstream_is_the_clients_and_is_not_tried_again(
    relay: Relay, status: str, retry_after: str | None
) -> None:
    """vLLM says 503 without Retry-After when its queue is full."""
    body = b'{"error": {"message": "no", "type": "x", "param": null, "code": 5}}'
    fields = [JSON] if retry_after is None else [JSON, f"Retry-After: {retry_after}"]
    relay.upstream.script = whole(body, status, *fields)
    got = await relay.ask()

    assert (got.status, got.body) == (int(status[:3]), body)
    assert len(relay.upstream.requests) == 1
    if retry_after is not None:
        assert got.value("Retry-After") == retry_after
    else:
        assert (int(got.value("Retry-After") or 0) >= 1) is (got.status == 503)


async def test_an_error_event_in_a_200_is_passed_on(relay: Relay) -> None:
    error = b'data: {"error": {"message": "EngineDeadError", "type": "x", "param": null, "code": 500}}\n\n'
    relay.upstream.script = sends(STREAM + chunk(event("one")) + chunk(error) + chunk(DONE) + chunk(b"") + b"\r\n")
    got = await relay.ask(chat(stream=True))

    assert (got.status, got.body) == (200, event("one") + error + DONE)


async def test_an_answer_before_the_body_was_read_reaches_the_client(relay: Relay) -> None:
    """The upstream refuses on the head alone and closes; the client gets that answer and not a broken connection."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(head("413 Content Too Large", JSON, "Content-Length: 2", "Connection: close") + b"{}")
        exchange.connection.transport.pause_reading()
        await exchange.hold()

    relay.upstream.script = script
    got = await relay.ask(chat("x" * 8_000_000))

    assert (got.status, got.body) == (413, b"{}")


async def test_an_answer_before_the_body_was_read_and_a_reset_is_that_answer_or_a_502(relay: Relay) -> None:
    """The reset may overtake what was written before it."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(head("413 Content Too Large", JSON, "Content-Length: 2", "Connection: close") + b"{}")
        exchange.close()

    relay.upstream.script = script
    got = await relay.ask(chat("x" * 8_000_000))

    assert got.status in {413, 502}


async def test_a_stream_is_passed_on_byte_for_byte_and_event_by_event(relay: Relay) -> None:
    words = [f"{number} caf\u00e9" for number in range(50)]
    relay.upstream.script = streams(words)
    got = await relay.ask(chat(stream=True))

    assert got.body == b"".join(map(event, words)) + DONE
    assert got.value("X-Accel-Buffering") == "no"


async def test_a_client_that_asks_first_whether_to_go_on_is_told_so(relay: Relay) -> None:
    """curl does so for bodies above 1 MB."""
    body = json.dumps(chat()).encode()
    async with relay.client() as client:
        client.send(request_head(len(body), "Expect: 100-continue"))
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(body)
        got = await client.answer()

    assert got.status == 200
    assert relay.upstream.requests[0].request.values("Expect") == []
