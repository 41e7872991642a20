"""Requests wait for a vLLM that restarts, if the operator wants it: bounded, in turn, and while their client does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from pointsman.config.model import ServerOptions
from pointsman.proxy.wait_queue import WaitingRequest, WaitQueue
from support.playbook import OK, Wire, playing, post
from support.virtual_loop import FakeTransport

A = frozenset({"a"})


def waiting(*clients: str, endpoints: frozenset[str] = A) -> WaitQueue:
    """A request of each, in this order."""
    made = WaitQueue()
    for client in clients:
        made.add(WaitingRequest(client, endpoints))
    return made


def clients(released: list[WaitingRequest]) -> str:
    return "".join(request.client for request in released)


def test_they_are_released_in_a_ramp() -> None:
    requests = waiting(*"x" * 20)
    assert [len(requests.release({"a"})) for _ in range(6)] == [1, 2, 4, 8, 5, 0]
    assert not requests


def test_the_ramp_begins_anew_where_one_was_not_accepted_or_none_could_be_sent() -> None:
    requests = waiting(*"x" * 20)
    assert [len(requests.release({"a"})) for _ in range(3)] == [1, 2, 4]
    requests.refused()
    assert [len(requests.release({"a"})) for _ in range(2)] == [1, 2]
    assert requests.release(set()) == []
    assert len(requests.release({"a"})) == 1


def test_each_client_has_its_turn() -> None:
    requests = waiting(*"xxxxxxyz")
    assert [clients(requests.release({"a"})) for _ in range(4)] == ["x", "yz", "xxxx", "x"]


def test_whose_turn_it_was_is_behind_the_others() -> None:
    requests = waiting(*"xxyy")
    released = []
    for _ in range(4):
        released += requests.release({"a"})
        requests.refused()
    assert clients(released) == "xyxy"


def test_only_those_are_released_that_an_endpoint_can_take() -> None:
    requests = WaitQueue()
    for endpoints in (A, frozenset("b"), frozenset("ab")):
        requests.add(WaitingRequest("x", endpoints))
    assert [request.endpoints for _ in range(3) for request in requests.release({"b"})] == [{"b"}, {"a", "b"}]


# --- through the data port ----------------------------------------------------------------------------------------


@pytest.fixture
def down() -> Iterator[Wire]:
    """Both vLLMs restart, and requests wait for a minute."""
    with playing(hold_ms=60_000, server=ServerOptions(max_in_flight=40)) as wire:
        goes_down(wire)
        yield wire


def goes_down(wire: Wire) -> None:
    wire.a.accepts = wire.b.accepts = False
    for state in wire.endpoints.values():
        state.reachable = False


def comes_back(wire: Wire) -> None:
    """`a` does."""
    wire.a.accepts = wire.endpoints["a"].reachable = True


def sends(wire: Wire, *arguments: str) -> FakeTransport:
    """One more client sends a request, and nobody accepts it."""
    wire.client = wire.connect()
    wire.client.sends(post(*arguments))
    refused(wire)
    return wire.client


def refused(wire: Wire) -> None:
    wire.a.refuses()
    wire.b.refuses()


def count_waiting(wire: Wire) -> float | None:
    return wire.generations.metrics.registry.get_sample_value("pointsman_requests_held")


@pytest.mark.parametrize("model", ["base", "MoM"])
def test_a_request_waits_until_the_endpoint_is_back(down: Wire, model: str) -> None:
    client = sends(down, model)
    if model == "MoM":
        assert not down.a.waiting
    down.clock.advance(30.0)
    assert (client.taken, count_waiting(down)) == (b"", 1)
    comes_back(down)
    down.clock.advance(0.25)
    assert count_waiting(down) == 0
    assert down.a.requests == 1
    down.upstream.sends(OK)
    assert down.answer.status == 200
    (outcome,) = down.outcomes()
    assert (outcome["status"], outcome["endpoint"]) == (200, "a")
    assert "hold" in outcome["ms"]


def test_it_waits_no_longer_than_the_limit(down: Wire) -> None:
    client = sends(down)
    down.clock.advance(59.5)
    assert client.taken == b""
    down.clock.advance(0.5)
    assert down.error == (502, "upstream_unreachable")
    assert b"\r\nRetry-After: 5" in down.answer.head
    assert count_waiting(down) == 0
    assert not any(down.in_flight.values())


def test_the_limit_counts_from_the_first_try(down: Wire) -> None:
    sends(down)
    down.clock.advance(40.0)
    down.endpoints["a"].reachable = True
    down.clock.advance(0.25)
    refused(down)
    down.endpoints["a"].reachable = False
    down.clock.advance(19.5)
    assert count_waiting(down) == 1
    down.clock.advance(0.25)
    assert down.error == (502, "upstream_unreachable")


def test_all_the_time_that_it_waited_is_in_the_outcome(down: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", down.clock.time)
    sends(down)
    down.clock.advance(40.0)
    down.endpoints["a"].reachable = True
    down.clock.advance(0.25)
    refused(down)
    comes_back(down)
    down.clock.advance(0.25)
    down.upstream.sends(OK)
    assert down.outcomes()[0]["ms"]["hold"] == 40_500.0


def test_at_most_a_quarter_of_the_slots_wait(down: Wire) -> None:
    for _ in range(10):
        assert sends(down).taken == b""
    sends(down)
    assert down.error == (502, "upstream_unreachable")
    assert count_waiting(down) == 10


def test_an_endpoint_that_is_back_gets_them_in_a_ramp(down: Wire) -> None:
    for _ in range(10):
        sends(down)
    comes_back(down)
    arrived = []
    for _ in range(4):
        down.clock.advance(0.25)
        arrived.append(down.a.requests)
    assert arrived == [1, 3, 7, 10]


@pytest.mark.parametrize("leave", [FakeTransport.resets, FakeTransport.ends])
def test_one_whose_client_leaves_waits_no_more(down: Wire, leave: object) -> None:
    client = sends(down)
    assert callable(leave)
    leave(client)
    assert count_waiting(down) == 0
    comes_back(down)
    down.clock.advance(10.0)
    assert down.a.requests == 0
    (outcome,) = down.outcomes()
    assert (outcome["status"], outcome["left_in"]) == (499, "hold")
    assert not any(down.in_flight.values())


def test_its_client_may_leave_in_the_turn_that_releases_it(down: Wire) -> None:
    client = sends(down)
    comes_back(down)
    outage_queue = down.generations.current.backend.forwarder.outage_queue
    assert outage_queue is not None
    timer = outage_queue._timer
    assert timer is not None
    down.clock.call_at(timer.when() - 1e-10, client._protocol.connection_lost, None)
    down.clock.advance(1.0)
    assert down.a.requests == 0


def test_the_end_of_the_service_ends_the_wait(down: Wire) -> None:
    sends(down)
    down.stop()
    assert down.error == (503, "shutting_down")
    assert count_waiting(down) == 0


def test_it_goes_on_after_a_reload(down: Wire) -> None:
    sends(down)
    down.reload(threshold=0.3)
    comes_back(down)
    down.clock.advance(0.25)
    assert down.a.requests == 1


def test_where_another_endpoint_has_the_base_model_that_one_answers_at_once() -> None:
    with playing(hold_ms=60_000) as wire:
        goes_down(wire)
        wire.b.accepts = wire.endpoints["b"].reachable = True
        wire.generations.current.poller.refused("b", "technical-lora")
        wire.client.sends(post("MoM"))
        wire.a.refuses()
        assert wire.b.requests == 1


def test_a_request_whose_connection_broke_does_not_wait() -> None:
    """vLLM may have begun it, or it may be what stopped vLLM."""
    with playing(hold_ms=60_000) as wire:
        wire.ask().resets()
        assert wire.error == (502, "upstream_broken")
        wire.client = wire.connect()
        reused = wire.ask()
        reused.sends(OK)
        assert wire.ask() is reused
        goes_down(wire)
        reused.ends()
        wire.a.refuses()
        assert wire.error == (502, "upstream_unreachable")


def test_without_probes_one_request_at_a_time_finds_out() -> None:
    with playing(hold_ms=60_000) as wire:
        wire.a.accepts = wire.b.accepts = False
        for _ in range(3):
            sends(wire)
        for _ in range(4):
            wire.clock.advance(0.25)
            assert (len(wire.a.waiting), len(wire.b.waiting)) == (1, 0)
            refused(wire)
        wire.a.accepts = True
        wire.clock.advance(0.5)
        assert wire.a.requests == 3


def test_none_waits_unless_it_is_switched_on(wire: Wire) -> None:
    goes_down(wire)
    sends(wire)
    assert wire.error == (502, "upstream_unreachable")
    assert json.loads(wire.answer.body)["error"]["type"] == "upstream_error"
