"""The bytes of requests in memory: what counts, who waits, who is refused, and when they are given back."""

from __future__ import annotations

import contextlib
import gc
import json
import mmap
import socket
import tracemalloc
import weakref
from collections.abc import Iterator
from typing import Any, cast
from unittest import mock

import pytest

from pointsman.config.model import ServerOptions
from pointsman.server.disconnect_watcher import DisconnectWatcher
from support.http_view import seen
from support.playbook import LAST, OK, STREAM, Wire, event, playing, post
from support.virtual_loop import FakeTransport

KIB = 1024
LARGE = 250 * KIB
"""Three of these bodies fit, one by each of three clients."""
FULL = 3 * LARGE
GET = b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n"


def large(size: int = LARGE) -> bytes:
    return json.dumps({"model": "base", "messages": []}).encode().ljust(size)


def head(size: int | None = LARGE, *fields: str, path: str = "/v1/chat/completions") -> bytes:
    """A head, of chunks where no size is given."""
    framing = "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}"
    lines = [f"POST {path} HTTP/1.1", "Host: here", "Content-Type: application/json", framing, *fields, "", ""]
    return "\r\n".join(lines).encode()


def chunked(size: int) -> bytes:
    return b"%x\r\n%b\r\n" % (size, b" " * size)


def status(client: FakeTransport) -> int | None:
    got = seen(client.taken)
    return None if got is None else got.status


def limited(**options: int) -> ServerOptions:
    small = {"max_buffered_bytes": 1024 * KIB, "max_body_bytes": 256 * KIB, "min_body_rate": 0}
    return ServerOptions(**cast("Any", small | options))


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A budget of 1 MiB: 768 KiB are for bodies of 64 KiB and more, 256 KiB for one client."""
    with playing(server=limited(), quarantine=False) as made:
        yield made


def fill(wire: Wire) -> list[FakeTransport]:
    """Other clients whose bodies fill the budget, but for small ones."""
    clients = [wire.connect(f"198.51.100.{number}") for number in range(3)]
    for client in clients:
        client.sends(head())
    assert wire.buffered == FULL
    return clients


# --- what counts, and until when ----------------------------------------------------------------------------------


def test_a_body_counts_whole_from_its_head_on(wire: Wire) -> None:
    wire.client.sends(head())
    assert wire.buffered == LARGE
    wire.client.sends(large()[:1000])
    assert wire.buffered == LARGE


def test_a_body_of_chunks_counts_as_it_comes(wire: Wire) -> None:
    wire.client.sends(head(None))
    assert wire.buffered == 0
    for total in (1000, 2000):
        wire.client.sends(chunked(1000))
        assert wire.buffered == total


@pytest.mark.parametrize("end", ["resets", "ends", "is late"])
def test_an_unfinished_body_that_counts_no_more_is_in_memory_no_more(wire: Wire, end: str) -> None:
    """Not even until garbage is collected: a client that begins bodies and leaves makes little other garbage."""
    gc.disable()
    tracemalloc.start()
    try:
        for part in (head(), *(bytes(bytearray(50 * KIB)) for _ in range(4))):
            wire.client.sends(part)
        del part
        before, _ = tracemalloc.get_traced_memory()
        if end == "is late":
            wire.clock.advance(30.0)
        else:
            getattr(wire.client, end)()
        assert wire.buffered == 0
        after, _ = tracemalloc.get_traced_memory()
        assert before - after > 150 * KIB  # coverage takes some
    finally:
        tracemalloc.stop()
        gc.enable()


def test_a_request_without_a_body_takes_nothing(wire: Wire) -> None:
    wire.client.sends(head(0))
    assert wire.buffered == 0


def test_a_body_counts_until_vllm_begins_to_answer(wire: Wire) -> None:
    """Until then it may have to be sent again."""
    wire.client.sends(head() + large())
    assert wire.buffered == LARGE
    wire.upstream.sends(STREAM)
    assert wire.buffered == 0
    wire.upstream.sends(event("one") + LAST)
    assert status(wire.client) == 200


@pytest.mark.parametrize("others", [0, 2, 3])
def test_where_it_may_be_a_query_of_death_it_counts_until_the_end(others: int) -> None:
    """One of more than three requests in flight is no suspect."""
    with playing(server=limited()) as wire:
        for _ in range(others):
            wire.connect().sends(post())
        buffered = wire.buffered
        wire.client.sends(head() + large())
        wire.upstream.sends(STREAM)
        assert wire.buffered - buffered == (LARGE if others < 3 else 0)
        wire.upstream.sends(LAST)
        assert wire.buffered == buffered


def test_one_that_vllm_answers_before_it_has_taken_all_counts_until_the_end(wire: Wire) -> None:
    wire.ask().sends(OK)
    wire.upstream.pauses()
    wire.client.sends(head() + large())
    wire.upstream.sends(STREAM)
    assert wire.buffered == LARGE
    wire.upstream.sends(LAST)
    assert wire.buffered == 0


def test_a_second_try_has_the_body_and_it_counts(wire: Wire) -> None:
    wire.ask().sends(OK)
    wire.client.sends(head() + large())
    wire.upstream.ends()
    assert wire.upstream.written.endswith(large())
    assert wire.buffered == LARGE
    wire.upstream.sends(OK)
    assert wire.buffered == 0


@pytest.mark.parametrize("end", ["resets", "refused", "late"])
def test_however_a_request_ends_its_bytes_are_given_back(wire: Wire, end: str) -> None:
    if end == "refused":
        wire.client.sends(head(path="/nowhere"))
    else:
        wire.client.sends(head() + large()[:1000])
        if end == "resets":
            wire.client.resets()
        else:
            wire.clock.advance(30.0)
    assert wire.buffered == 0


def test_of_a_body_that_is_too_large_nothing_is_held(wire: Wire) -> None:
    wire.client.sends(head(257 * KIB) + large(100 * KIB))
    assert wire.buffered == 0
    assert wire.error == (413, "body_too_large")


# --- waiting ------------------------------------------------------------------------------------------------------


def test_a_body_without_room_is_not_read_until_there_is(wire: Wire) -> None:
    others = fill(wire)
    wire.client.sends(head() + large()[:1000])
    wire.client.sends(large()[1000:])
    assert not wire.client.reading
    assert wire.generations.budget.waiting == 1
    assert wire.buffered == FULL + 1000
    others[0].resets()
    assert wire.client.reading
    assert wire.upstream.written.endswith(large())
    wire.upstream.sends(OK)
    assert status(wire.client) == 200


def test_a_client_that_asks_first_is_told_to_go_on_once_there_is_room(wire: Wire) -> None:
    others = fill(wire)
    wire.client.sends(head(LARGE, "Expect: 100-continue"))
    assert wire.client.taken == b""
    others[0].resets()
    assert wire.client.taken == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_after_ten_seconds_it_is_a_503(wire: Wire) -> None:
    fill(wire)
    wire.client.sends(head() + large()[:1000])
    wire.clock.advance(9.75)
    assert wire.client.taken == b""
    wire.clock.advance(0.25)
    assert wire.error == (503, "overloaded")
    assert b"Retry-After: 1" in wire.answer.head
    assert wire.client.reading, "else its client could not read that before it has sent all"
    assert wire.refusals == {"memory": 1}
    assert wire.buffered == FULL


def test_the_65th_body_of_a_client_that_would_wait_is_refused_at_once(wire: Wire) -> None:
    fill(wire)
    for number in range(65):
        assert wire.generations.budget.waiting == number
        wire.client = wire.connect()
        wire.client.sends(head())
    assert wire.error == (503, "overloaded")
    assert wire.refusals == {"memory": 1}
    assert wire.generations.budget.waiting == 64


def test_the_time_that_it_waits_is_not_that_of_the_body() -> None:
    with playing(server=limited(body_timeout_ms=12_000)) as wire:
        wire.clock.advance(5.0)
        others = [wire.connect(f"198.51.100.{number}") for number in range(3)]
        for other in others:
            other.sends(head())
        wire.client.sends(head())
        wire.clock.advance(9.0)
        others[0].resets()
        wire.client.sends(large()[:-1])
        wire.clock.advance(11.75)
        wire.client.sends(b" ")
        wire.upstream.sends(OK)
        assert status(wire.client) == 200


def test_one_that_is_refused_for_another_reason_does_not_wait(wire: Wire) -> None:
    fill(wire)
    wire.client.sends(head(path="/nowhere"))
    assert status(wire.client) == 404
    assert wire.generations.budget.waiting == 0


def test_a_client_that_has_left_meanwhile_leaves_its_room_to_others(wire: Wire) -> None:
    others = fill(wire)
    wire.client.sends(head())
    wire.client.resets()
    others[0].resets()
    assert wire.buffered == FULL - LARGE
    assert [outcome["left_in"] for outcome in wire.outcomes()] == ["body", "body"]


def test_the_end_of_the_service_ends_the_wait(wire: Wire) -> None:
    fill(wire)
    wire.client.sends(head())
    stopping = wire.stop(1.0)
    wire.clock.advance(1.0)
    assert wire.error == (503, "shutting_down")
    wire.clock.advance(5.0)
    assert stopping.done()
    assert wire.buffered == 0


def test_a_reload_that_allows_more_ends_the_wait(wire: Wire) -> None:
    fill(wire)
    wire.client.sends(head())
    wire._options = wire._options.__class__(server=limited(max_buffered_bytes=2048 * KIB), relay=wire._options.relay)
    wire.reload()
    assert wire.client.reading


def test_a_body_of_chunks_that_cannot_grow_is_refused_at_once(wire: Wire) -> None:
    fill(wire)
    wire.client.sends(head(None) + chunked(60 * KIB))
    assert wire.client.taken == b""
    wire.client.sends(chunked(10 * KIB))
    assert wire.error == (503, "overloaded")
    assert b"Retry-After: 1" in wire.answer.head
    assert wire.refusals == {"memory": 1}
    assert wire.buffered == FULL


# --- what is sent ahead -------------------------------------------------------------------------------------------


def test_a_large_body_behind_another_request_waits_unread_for_its_turn(wire: Wire) -> None:
    wire.ask()
    before = wire.buffered
    wire.client.sends(head() + large()[:1000])
    wire.client.sends(large()[1000:])
    assert not wire.client.reading
    assert wire.buffered < before + 2000
    wire.upstream.sends(OK)
    assert wire.upstream.written.endswith(large())


def test_whether_its_client_leaves_is_watched_while_it_is_not_read_from_and_no_longer(wire: Wire) -> None:
    disconnects: Any = mock.Mock(spec=DisconnectWatcher)
    wire.listener.disconnects = disconnects
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire.client._extra["socket"] = ours  # type: ignore[attr-defined]  # what asyncio keeps for `get_extra_info`
        wire.ask()
        wire.client.sends(head())
        disconnects.watch.assert_called_once_with(ours.fileno(), wire.client.abort)
        disconnects.forget.assert_not_called()
        wire.upstream.sends(OK)
        assert wire.client.reading
        disconnects.forget.assert_called_once_with(disconnects.watch.return_value)


def test_so_does_one_of_unknown_length(wire: Wire) -> None:
    wire.ask()
    wire.client.sends(head(None) + chunked(1000))
    assert not wire.client.reading
    wire.upstream.sends(OK)
    wire.client.sends(b"0\r\n\r\n")
    assert wire.client.reading


def test_what_is_read_ahead_counts(wire: Wire) -> None:
    wire.ask()
    before = wire.buffered
    ahead = head(1000) + large(1000)
    wire.client.sends(ahead)
    assert wire.client.reading
    assert wire.buffered == before + len(ahead)


def test_so_does_what_is_not_even_parsed(wire: Wire) -> None:
    wire.client.sends(head()[:40])
    assert wire.buffered == 40
    wire.client.sends(head()[40:])
    assert wire.buffered == LARGE


def test_a_client_that_sends_too_far_ahead_for_its_share_is_refused_in_its_turn(wire: Wire) -> None:
    """Of 1 MiB, 32 KiB of one client may be unparsed."""
    wire.ask()
    wire.client.sends(head() + large()[: 33 * KIB])
    assert wire.refused == ["memory"]
    wire.upstream.sends(OK)
    assert [part[:3] for part in wire.client.taken.split(b"HTTP/1.1 ")[1:]] == [b"200", b"503"]
    assert wire.client.eof


def test_one_that_waits_with_more_than_its_share_of_unparsed_bytes_is_refused_at_once(wire: Wire) -> None:
    fill(wire)
    wire.client.sends(head() + large()[: 33 * KIB])
    assert wire.error == (503, "overloaded")
    assert wire.refusals == {"memory": 1}


def test_what_comes_behind_a_body_that_is_refused_is_no_request(wire: Wire) -> None:
    """Also before the answer is written, where the handler has its turn later."""
    fill(wire)
    asked = head(path="/health").replace(b"POST", b"GET")

    def both() -> None:
        wire.client._protocol.data_received(asked + large()[: 33 * KIB])
        wire.client._protocol.data_received(large()[33 * KIB :])

    wire.clock.do(both)
    assert wire.refused == []
    assert wire.client.taken.count(b"HTTP/1.1 ") == 1


# --- slow bodies --------------------------------------------------------------------------------------------------


RATED = {"min_body_rate": 1000, "body_timeout_ms": 60_000}


@pytest.mark.parametrize(
    ("options", "sent", "refused"),
    [
        pytest.param(RATED, [(10_000, 9.75)], None, id="the minimum of ten seconds"),
        pytest.param(RATED, [(9_990, 9.75)], b"min_body_rate", id="a little less"),
        pytest.param(RATED, [(100, 3.25)] * 3, b"min_body_rate", id="one that drips"),
        pytest.param(RATED, [(100_000, 19.75)], b"min_body_rate", id="what came fast does not pay for later"),
        pytest.param({"min_body_rate": 0}, [(0, 29.75)], b"", id="without a minimum the time of the whole"),
    ],
)
def test_a_body_has_a_minimum_rate_over_each_ten_seconds(
    options: dict[str, int], sent: list[tuple[int, float]], refused: bytes | None
) -> None:
    with playing(server=limited(**options)) as wire:
        wire.client.sends(head())
        for size, seconds in sent:
            wire.client.sends(large()[:size])
            wire.clock.advance(seconds)
        assert status(wire.client) is None
        wire.clock.advance(0.25)
        assert status(wire.client) == (None if refused is None else 408)
        assert refused is None or refused in wire.answer.body
        assert wire.refusals == ({} if refused is None else {"body_timeout": 1})


def test_the_edited_body_is_dropped_with_the_clients(wire: Wire) -> None:
    body = json.dumps({"model": "MoM", "messages": [{"role": "user", "content": "x" * 200_000}]}).encode()
    wire.client.sends(head(len(body)) + body)
    wire.upstream.sends(STREAM)
    job: Any = next(iter(wire.listener.connections)).job
    assert (job._body, job._on_unknown_model, job._record.routed.edited.body) == (b"", None, b"")
    wire.upstream.sends(LAST)
    assert wire.outcomes()[0]["edited"] == ["model", "chat_template_kwargs"]


# --- two things in one turn of the event loop ---------------------------------------------------------------------


def test_room_is_not_given_to_a_client_that_has_just_left(wire: Wire) -> None:
    others = fill(wire)
    wire.client.sends(head())

    def both() -> None:
        wire.client.closing = True
        wire.client._lose(None)
        others[0]._lose(None)

    wire.clock.do(both)
    assert wire.buffered == FULL - LARGE


def test_room_that_comes_the_moment_its_time_is_over_is_given_back(wire: Wire) -> None:
    others = fill(wire)
    wire.client.sends(head())
    wire.clock.call_at(wire.clock.time() + 10.0 + 5e-10, others[0]._lose, None)
    wire.clock.advance(10.0)
    assert wire.error == (503, "overloaded")
    assert wire.buffered == FULL - LARGE


# --- bodies of more than 1 MiB ------------------------------------------------------------------------------------

LONG = 2048 * KIB
PART = 256 * KIB


@contextlib.contextmanager
def long_bodies() -> Iterator[Wire]:
    """The garbage collector frees nothing meanwhile."""
    gc.disable()
    try:
        with playing(server=limited(max_buffered_bytes=32 * LONG, max_body_bytes=LONG), quarantine=False) as wire:
            yield wire
    finally:
        gc.enable()


def bring(client: FakeTransport, body: bytes, framing: str) -> None:
    client.sends(head(LONG if framing == "length" else None))
    for at in range(0, len(body), PART):
        data = body[at : at + PART]
        client.sends(data if framing == "length" else b"%x\r\n%b\r\n" % (len(data), data))


def memory_of(client: FakeTransport) -> weakref.ref[mmap.mmap]:
    return weakref.ref(client._protocol.current._long._memory)


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_body_of_more_than_1_mib_has_memory_of_its_own(framing: str) -> None:
    """In the heap, it would stay resident when it is freed."""
    with long_bodies() as wire:
        bring(wire.client, large(LONG), framing)
        if framing == "chunks":
            wire.client.sends(b"0\r\n\r\n")
        assert isinstance(wire.client._protocol.job._body, mmap.mmap)
        assert wire.upstream.written.endswith(large(LONG))


@pytest.mark.parametrize("end", ["resets", "ends", "is late", "is too long"])
def test_an_unfinished_one_is_freed_when_it_counts_no_more(end: str) -> None:
    with long_bodies() as wire:
        bring(wire.client, b" " * (LONG - PART), "chunks")
        memory = memory_of(wire.client)
        assert memory() is not None
        if end == "is late":
            wire.clock.advance(300.0)
        elif end == "is too long":
            wire.client.sends(chunked(2 * PART))
        else:
            getattr(wire.client, end)()
        assert memory() is None


def test_an_edited_one_is_freed_when_vllm_begins_to_answer() -> None:
    body = json.dumps({"model": "MoM", "messages": [{"role": "user", "content": "x"}]}).encode().ljust(LONG)
    with long_bodies() as wire:
        bring(wire.client, body[:-1], "length")
        memory = memory_of(wire.client)
        wire.client.sends(body[-1:])
        assert memory() is not None
        wire.upstream.sends(STREAM)
        assert memory() is None
        wire.upstream.sends(LAST)
        assert wire.outcomes()[0]["edited"] == ["model", "chat_template_kwargs"]
