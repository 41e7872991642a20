"""Connections are few, so none is kept for a client that does not use it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from pointsman.config.model import ServerOptions
from support.http_view import Seen, seen
from support.playbook import LAST, OK, STREAM, Wire, event, playing, post, with_length
from support.virtual_loop import FakeTransport

GET = b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n"


def limited(**options: Any) -> ServerOptions:
    return ServerOptions(**cast("Any", options))


def answer(client: FakeTransport) -> Seen:
    got = seen(client.taken)
    assert got is not None
    return got


# --- clients that do not read -------------------------------------------------------------------------------------


def test_a_client_that_does_not_read_for_a_minute_is_cut_off_and_vllm_stops(wire: Wire) -> None:
    upstream = wire.ask()
    wire.client.pauses()
    upstream.sends(STREAM + event("one"))
    wire.clock.advance(59.75)
    assert not wire.client.closing
    wire.clock.advance(0.25)
    assert wire.client.aborted
    assert upstream.aborted
    (outcome,) = wire.outcomes()
    assert (outcome["status"], outcome["left_in"]) == (499, "send")
    assert wire.generations.metrics.left._values == {("send",): 1}


def test_one_that_reads_now_and_then_is_not(wire: Wire) -> None:
    upstream = wire.ask()
    upstream.sends(STREAM)
    for _ in range(5):
        wire.client.pauses()
        upstream.sends(event("one"))
        wire.clock.advance(59.0)
        wire.client.reads_on()
    upstream.sends(LAST)
    assert wire.answer.whole
    wire.clock.advance(74.75)
    assert not wire.client.closing


def test_the_time_is_the_configs() -> None:
    with playing(server=limited(send_timeout_ms=5_000)) as wire:
        upstream = wire.ask()
        wire.client.pauses()
        upstream.sends(STREAM + event("one"))
        wire.clock.advance(4.75)
        assert not wire.client.closing
        wire.clock.advance(0.25)
        assert wire.client.aborted


def test_one_that_does_not_read_the_end_of_its_answer_is_cut_off_as_well(wire: Wire) -> None:
    """Its request has ended, and its connection is a slot."""
    upstream = wire.ask()
    wire.client.pauses()
    upstream.sends(with_length(b"{}"))
    assert wire.in_flight["metrics"] == 0
    wire.clock.advance(60.0)
    assert wire.client.aborted


def test_a_connection_that_is_closed_before_its_client_has_read_all_lasts_no_longer(wire: Wire) -> None:
    wire.client.pauses()
    wire.client.sends(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert (wire.client.closed, wire.client.lost) == (True, False)
    wire.clock.advance(59.75)
    assert not wire.client.lost
    wire.clock.advance(0.25)
    assert wire.client.aborted


def test_one_that_begins_another_request_has_no_less_time_to_read() -> None:
    with playing(server=ServerOptions(header_timeout_ms=1_000, send_timeout_ms=60_000)) as wire:
        upstream = wire.ask()
        wire.client.pauses()
        upstream.sends(OK)
        wire.client.sends(b"GET")
        wire.clock.advance(59.75)
        assert not wire.client.closing
        wire.clock.advance(0.25)
        assert wire.client.aborted


def test_nor_does_one_whose_client_has_read_a_part_meanwhile(wire: Wire) -> None:
    wire.client.pauses()
    wire.client.sends(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    wire.clock.do(wire.client._protocol.pause_writing)
    wire.clock.do(wire.client._protocol.resume_writing)
    wire.clock.advance(60.0)
    assert wire.client.aborted


def test_one_that_says_nothing_is_closed_after_ten_seconds_however_long_a_head_may_take() -> None:
    with playing(server=limited(header_timeout_ms=30_000)) as wire:
        wire.clock.advance(10.0)
        assert wire.client.closed


# --- all connections are taken ------------------------------------------------------------------------------------


def test_when_all_are_taken_an_idle_one_of_the_busiest_client_makes_room() -> None:
    with playing(server=limited(max_connections=4)) as wire:
        honest = wire.connect("203.0.113.1")
        greedy = [wire.connect("203.0.113.2") for _ in range(2)]
        late = wire.connect("203.0.113.3")
        assert [client.closed for client in (wire.client, honest, *greedy)] == [False, False, True, False]
        assert not greedy[0].aborted
        late.sends(GET)
        assert answer(late).status == 200
        assert wire.listener.evicted == 1
        assert wire.refused == []
        assert len(wire.listener.connections) == 4


def test_one_whose_head_is_not_whole_is_idle() -> None:
    with playing(server=limited(max_connections=1)) as wire:
        wire.client.sends(GET[:9])
        late = wire.connect()
        assert wire.client.closed
        late.sends(GET)
        assert answer(late).status == 200


def test_where_all_are_busy_one_more_is_refused() -> None:
    with playing(server=limited(max_connections=2)) as wire:
        other = wire.connect()
        for client in (wire.client, other):
            client.sends(post())
        late = wire.connect()
        got = answer(late)
        assert (got.status, b'"overloaded"' in got.body, b"Retry-After" in got.head) == (503, True, True)
        assert wire.refused == ["connections"]
        assert (late.eof, late.closing) == (True, False)
        wire.clock.advance(2.0)
        assert late.aborted
        other.resets()
        assert wire.connect().taken == b""


def test_an_idle_client_that_has_not_read_its_answer_is_cut_off_at_once() -> None:
    with playing(server=limited(max_connections=1)) as wire:
        wire.client.pauses()
        wire.client.sends(GET)
        wire.clock.advance(1.0)
        wire.connect()
        assert wire.client.aborted


def comes(wire: Wire) -> None:
    """One more client, in this turn of the event loop."""
    protocol = wire.listener._connection()
    protocol.connection_made(FakeTransport(wire.clock, protocol))


def test_two_that_come_at_once_take_two_places() -> None:
    with playing(server=limited(max_connections=2)) as wire:
        other = wire.connect()

        def both() -> None:
            comes(wire)
            comes(wire)

        wire.clock.do(both)
        assert (wire.client.closed, other.closed) == (True, True)
        assert len(wire.listener.connections) == 2


def test_an_answer_of_this_turn_is_written_before_its_connection_makes_room() -> None:
    with playing(server=limited(max_connections=1)) as wire:
        wire.client.pauses()

        def both() -> None:
            wire.client._protocol.data_received(b"GET /nowhere HTTP/1.1\r\nHost: here\r\n\r\n")
            comes(wire)

        wire.clock.do(both)
        assert (wire.client.closed, wire.client.aborted) == (True, False)


def test_a_refused_one_lingers_only_where_few_do() -> None:
    with playing(server=limited(max_connections=1)) as wire:
        wire.client.sends(post())
        refused = [wire.connect() for _ in range(40)]
        assert [client.lost for client in refused] == [False] * 32 + [True] * 8
        assert {answer(client).status for client in refused} == {503}
        assert len(wire.listener.connections) == 1
        refused[0].ends()
        assert not wire.connect().lost


def test_one_that_was_refused_for_its_body_makes_room_while_it_lingers() -> None:
    with playing(server=limited(max_connections=2, max_body_bytes=2_000)) as wire:
        wire.client.sends(post().replace(b"Content-Length: ", b"Content-Length: 99"))
        assert (wire.answer.status, wire.client.eof, wire.client.lost) == (413, True, False)
        other = wire.connect("192.0.2.2")
        new = wire.connect("192.0.2.3")
        assert (wire.client.lost, other.taken, new.taken, wire.listener.evicted) == (True, b"", b"", 1)


def test_under_tls_it_is_gone_at_once_as_well() -> None:
    """Its end is told already, and otherwise waited for."""
    with playing(server=limited(max_connections=1, max_body_bytes=2_000)) as wire:
        wire.client._protocol.beneath = FakeTransport(wire.clock, wire.client._protocol)
        wire.client.pauses()
        wire.client.sends(post().replace(b"Content-Length: ", b"Content-Length: 99"))
        assert (wire.client.closing, wire.client.lost) == (True, False)
        assert wire.connect("192.0.2.2").taken == b""
        assert wire.client.lost


def test_one_whose_answer_is_not_read_yet_does_not() -> None:
    with playing(server=limited(max_connections=1)) as wire:
        wire.client.pauses()
        wire.ask("base", "/v1/chat/completions", "Connection: close").sends(OK)
        assert answer(wire.connect("192.0.2.2")).status == 503
        wire.client.reads_on()
        assert answer(wire.client).status == 200


def test_refused_ones_do_not_hold_up_the_end() -> None:
    with playing(server=limited(max_connections=1)) as wire:
        upstream = wire.ask()
        refused = wire.connect()
        stopping = wire.stop(30.0)
        assert refused.aborted
        upstream.sends(OK)
        wire.clock.advance(0.0)
        assert stopping.done()


# --- the connections of one client --------------------------------------------------------------------------------


def test_one_client_may_have_so_many_connections_and_others_theirs() -> None:
    with playing(server=limited(max_connections_per_client=2)) as wire:
        assert wire.connect().taken == b""
        got = answer(wire.connect())
        assert (got.status, b'"rate_limit_exceeded"' in got.body, b"Retry-After" in got.head) == (429, True, True)
        assert wire.refused == ["client_connections"]
        assert wire.connect("203.0.113.1").taken == b""
        wire.client.ends()
        assert wire.connect().taken == b""


@pytest.mark.parametrize("address", ["", "203.0.113.1"], ids=["a Unix socket", "a trusted proxy"])
def test_a_proxy_of_many_clients_has_no_such_limit_nor_that_of_requests(address: str) -> None:
    options = limited(max_connections_per_client=1, max_in_flight_per_client=1, trusted_proxies=("203.0.113.0/24",))
    with playing(server=options) as wire:
        clients = [wire.connect(address) for _ in range(3)]
        for client in clients:
            client.sends(post())
        assert wire.in_flight["metrics"] == 3
        assert [client.taken for client in clients] == [b""] * 3


def test_without_a_limit_one_client_may_have_all(wire: Wire) -> None:
    assert [wire.connect().taken for _ in range(100)] == [b""] * 100
