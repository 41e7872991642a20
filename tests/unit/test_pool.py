"""The connections to one vLLM: which is used again, for how long one is kept, and how a new one fails."""

from __future__ import annotations

import asyncio
import errno

import pytest

from pointsman.config.model import Endpoint
from pointsman.upstream import client as control
from pointsman.upstream.pool import ConnectionPool
from support.playbook import OK, Wire, playing, post, with_length
from support.virtual_loop import Factory, FakeTransport, VirtualLoop


def reusable(wire: Wire, number: int) -> list[FakeTransport]:
    """So many idle connections, a second after another."""
    clients = [wire.connect() for _ in range(number)]
    for client in clients:
        client.sends(post())
    connections = list(wire.a.connections)
    for connection in connections:
        connection.sends(OK)
        wire.clock.advance(1.0)
    return connections


@pytest.mark.parametrize(("seconds", "again"), [(2.99, True), (3.0, False)])
def test_a_connection_is_kept_for_three_seconds(wire: Wire, seconds: float, again: bool) -> None:
    """vLLM closes one after five."""
    first = wire.ask()
    first.sends(OK)
    wire.clock.advance(seconds)
    assert first.aborted is not again
    assert (wire.ask() is first) is again


def test_those_that_come_after_all_were_closed_have_them_too(wire: Wire) -> None:
    for _ in range(2):
        reusable(wire, 1)
        wire.clock.advance(3.0)
        assert wire.pooled == []


def test_use_begins_them_anew(wire: Wire) -> None:
    first = wire.ask()
    for _ in range(5):
        first.sends(OK)
        wire.clock.advance(2.0)
        assert wire.ask() is first


def test_one_that_is_too_old_is_closed_though_its_timer_is_late(wire: Wire) -> None:
    """A loop that was busy for long has not looked yet."""
    first = wire.ask()
    first.sends(OK)
    wire.clock._now += 3.5
    assert wire.ask() is not first
    assert first.aborted


def test_the_one_that_was_used_last_is_used_again(wire: Wire) -> None:
    _, _, last = reusable(wire, 3)
    assert wire.ask() is last


def test_one_that_vllm_closed_is_forgotten(wire: Wire) -> None:
    first, last = reusable(wire, 2)
    last.ends()
    assert wire.pooled == [first]
    assert wire.ask() is first


@pytest.mark.parametrize("milliseconds", [500, 2_000])
def test_a_connection_that_is_not_made_in_time_is_given_up(milliseconds: int) -> None:
    with playing(connect_timeout_ms=milliseconds) as wire:
        wire.a.accepts = wire.b.accepts = False
        wire.client.sends(post())
        seconds = milliseconds / 1000
        wire.clock.advance(seconds - 0.25)
        assert (len(wire.a.waiting), len(wire.b.waiting)) == (1, 0)
        wire.clock.advance(0.25)
        assert (len(wire.a.waiting), len(wire.b.waiting)) == (0, 1)
        wire.clock.advance(seconds)
        assert wire.error == (502, "upstream_unreachable")
        assert "did not answer in time" in wire.outcomes()[-1]["error"]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_where_no_file_is_left_for_a_connection_it_is_our_fault_and_not_vllms(number: int) -> None:
    with playing(breaker_failures=1, health_interval_ms=60_000) as wire:
        wire.a.accepts = False
        wire.client.sends(post())
        wire.clock.do(wire.a.waiting[-1].set_exception, OSError(number, "Too many open files"))
        assert wire.error == (503, "overloaded")
        assert b"Retry-After: 1" in wire.answer.head
        state = wire.endpoints["a"]
        assert (state.breaker.opened, state.reachable, state.in_flight) == (False, True, 0)
        assert wire.refusals == {"files": 1}
        assert wire.generations.metrics.upstream_errors._values == {}


def test_a_client_that_leaves_while_a_connection_is_made_gives_it_up(wire: Wire) -> None:
    wire.a.accepts = False
    wire.client.sends(post())
    assert len(wire.a.waiting) == 1
    wire.client.resets()
    assert wire.a.waiting == []
    assert wire.at_endpoints == 0
    assert wire.outcomes()[0]["left_in"] == "connect"


@pytest.mark.parametrize(("status", "healthy"), [("200 OK", True), ("503 Service Unavailable", False)])
def test_no_request_gets_the_connection_of_a_probe(wire: Wire, status: str, healthy: bool) -> None:
    """It is closed once its answer is there; a request that got it in between would wait for ever."""
    probed = wire.endpoints["a"]
    probe = wire.clock.do(lambda: wire.clock.create_task(control.health(probed, b"")))
    (connection,) = wire.a.connections
    assert wire.ask() is not connection
    connection.sends(with_length(b"", status, length=2))
    assert not probe.done()

    def comes_with_a_request() -> object:
        connection._protocol.data_received(b"{}")
        return probed.pool.take()

    assert wire.clock.do(comes_with_a_request) is None
    assert (probe.result() is None) is healthy
    assert connection.aborted
    assert wire.pooled == []


def test_one_that_is_being_closed_is_not_handed_out(wire: Wire) -> None:
    """uvloop tells of the end of a connection in a later turn."""
    first = wire.ask()
    first.sends(OK)
    first.closing = True
    assert wire.ask() is not first


def test_what_is_closed_is_forgotten(wire: Wire) -> None:
    reusable(wire, 2)
    wire.clock.advance(5.0)
    assert wire.endpoints["a"].pool._open == set()


@pytest.mark.parametrize(
    ("name", "host"), [("vllm_1.internal", b"vllm_1.internal"), ("bücher.example", b"xn--bcher-kva.example")]
)
def test_vllm_gets_its_name_as_http_writes_it(name: str, host: bytes) -> None:
    pool = ConnectionPool(Endpoint(name="a", address=name, port=8000), 1.0)
    assert pool.host_line == b"Host: %b:8000\r\n" % host


def test_a_vllm_may_listen_at_a_unix_socket(clock: VirtualLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def dial(make: Factory, path: str) -> tuple[FakeTransport, asyncio.BaseProtocol]:
        assert path == "/run/vllm.sock"
        protocol = make()
        transport = FakeTransport(clock, protocol)
        protocol.connection_made(transport)
        return transport, protocol

    monkeypatch.setattr(clock, "create_unix_connection", dial)
    pool = ConnectionPool(Endpoint(name="a", address="unix:/run/vllm.sock"), 5.0)
    assert clock.do(lambda: clock.create_task(pool.connect())).result().usable


def test_a_pool_that_was_closed_leaves_no_timer(wire: Wire) -> None:
    reusable(wire, 1)
    pool = wire.endpoints["a"].pool
    sweep = pool._sweep
    assert sweep is not None
    wire.clock.do(pool.close)
    assert sweep.cancelled()
