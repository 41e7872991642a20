"""What becomes of a client's connection when the service stops: what may still come, what ends, and what is cut."""

from __future__ import annotations

import asyncio

import pytest

from support.http_view import seen
from support.playbook import OK, STREAM, Wire, event, post

GET = b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n"
HEAD = post().partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
BODY = post().partition(b"\r\n\r\n")[2]


def statuses(wire: Wire) -> list[int]:
    """Of all that the client has got."""
    return [int(part.split(b" ")[0]) for part in wire.client.taken.split(b"HTTP/1.1 ")[1:]]


def test_a_connection_that_had_an_answer_is_closed_at_once(wire: Wire) -> None:
    wire.ask().sends(OK)
    wire.stop(30.0)
    assert wire.client.closed


def test_one_that_has_not_asked_yet_may_do_so_for_two_seconds(wire: Wire) -> None:
    """Its request may be on its way, and TCP sends a lost packet again after a second."""
    wire.stop(30.0)
    wire.clock.advance(1.75)
    assert not wire.client.closing
    wire.client.sends(GET)
    assert b"Connection: close" in wire.answer.head
    assert wire.client.closed


def test_and_no_longer(wire: Wire) -> None:
    stopping = wire.stop(30.0)
    wire.clock.advance(2.0)
    assert wire.client.closed
    assert stopping.done()


def test_nor_longer_than_the_bound(wire: Wire) -> None:
    """A proxy's spare connection, or a browser's, holds nothing up."""
    stopping = wire.stop(0.5)
    wire.clock.advance(0.25)
    assert not wire.client.closing
    wire.clock.advance(0.25)
    assert wire.client.closed
    assert stopping.done()


@pytest.mark.parametrize("part", [b"", STREAM + event("one")], ids=["no answer", "a part"])
def test_a_client_that_leaves_meanwhile_ends_its_request_and_the_wait(wire: Wire, part: bytes) -> None:
    upstream = wire.ask()
    upstream.sends(part)
    stopping = wire.stop(30.0)
    wire.client.resets()
    assert upstream.aborted
    assert stopping.done()


def test_one_that_connected_before_has_two_seconds_from_then_on(wire: Wire) -> None:
    wire.clock.advance(10.0)
    wire.stop(30.0)
    wire.clock.advance(0.25)
    assert wire.client.closed


@pytest.mark.parametrize("answered", [False, True])
def test_one_whose_head_has_begun_may_finish_it(wire: Wire, *, answered: bool) -> None:
    """Also where it has had an answer before."""
    if answered:
        wire.ask().sends(OK)
    wire.client.sends(HEAD[:9])
    wire.stop(30.0)
    wire.clock.advance(5.0)
    wire.client.sends(HEAD[9:] + BODY)
    wire.upstream.sends(OK)
    assert (wire.answer.status, b"Connection: close" in wire.answer.head) == (200, True)
    assert wire.client.closed


def test_an_answer_that_runs_comes_to_its_end_and_says_that_it_is_the_last(wire: Wire) -> None:
    upstream = wire.ask()
    stopping = wire.stop(30.0)
    wire.clock.advance(3.0)
    upstream.sends(OK)
    assert b"\r\nConnection: close" in wire.answer.head
    assert wire.client.closed
    assert stopping.done()


def test_what_does_not_end_in_time_is_told_so(wire: Wire) -> None:
    other = wire.connect()
    other.sends(post())
    other_upstream = wire.upstream
    upstream = wire.ask()
    upstream.sends(STREAM + event("one"))
    stopping = wire.stop(1.0)
    wire.clock.advance(0.75)
    assert wire.in_flight["metrics"] == 2
    wire.clock.advance(0.25)
    assert b'"shutting_down"' in wire.answer.body
    assert not wire.answer.whole
    refused = seen(other.taken)
    assert refused is not None
    assert (refused.status, refused.whole, b"Retry-After: 5" in refused.head) == (503, True, True)
    assert upstream.aborted
    assert other_upstream.aborted
    wire.clock.advance(1.0)
    assert stopping.done()
    assert sorted((outcome["status"], outcome["error"]) for outcome in wire.outcomes()) == [
        (200, "the service is shutting down"),
        (503, "the service is shutting down"),
    ]


def test_a_client_that_does_not_read_holds_the_end_up_no_longer_than_half_a_second(wire: Wire) -> None:
    upstream = wire.ask()
    wire.client.pauses()
    upstream.sends(STREAM + event("one"))
    stopping = wire.stop(1.0)
    wire.clock.advance(1.25)
    assert not wire.client.aborted
    wire.clock.advance(0.25)
    assert wire.client.aborted
    assert stopping.done()


def test_without_a_connection_the_end_is_at_once(wire: Wire) -> None:
    wire.client.resets()
    assert wire.stop(60.0).done()


def test_who_asks_for_the_end_a_second_time_does_not_wait_for_it(wire: Wire) -> None:
    """What runs is told so all the same."""
    interrupt = asyncio.Event()
    interrupt.set()
    wire.ask()
    wire.clock.do(lambda: wire.clock.create_task(wire.listener.drain(60.0, interrupt)))
    assert wire.error == (503, "shutting_down")
