"""A request from its arrival to its one outcome: who counts it, who lets it go, and what the client is told."""

from __future__ import annotations

from typing import Any, cast

import pytest

from pointsman.config.model import ServerOptions
from pointsman.eager import continue_in_task
from support.playbook import CLASSIFIER, LAST, OK, STREAM, Wire, event, playing, post

NOTHING = {"metrics": 0, "client": 0, "generations": 0}


def test_a_request_is_counted_from_its_head_to_the_last_byte_of_its_answer(wire: Wire) -> None:
    head, _, body = post().partition(b"\r\n\r\n")
    wire.client.sends(head + b"\r\n\r\n")
    one = {"metrics": 1, "client": 1, "generations": 1}
    assert wire.in_flight == one | {"metrics": 0}, "it has no place until its body is whole"
    for part in (STREAM, event("one")):
        wire.client.sends(body)
        body = b""
        wire.upstream.sends(part)
        assert wire.in_flight == one
        assert wire.outcomes() == []
    wire.upstream.sends(LAST)
    assert wire.in_flight == NOTHING
    assert len(wire.outcomes()) == 1


@pytest.mark.parametrize(
    ("options", "status", "code", "retry_after"),
    [
        pytest.param({"max_in_flight": 1}, 503, "overloaded", b"1", id="of all"),
        pytest.param({"max_in_flight_per_client": 1}, 429, "rate_limit_exceeded", b"1", id="of one client"),
    ],
)
def test_one_too_many_is_refused_before_its_body_is_there_and_counts_no_longer(
    options: dict[str, int], status: int, code: str, retry_after: bytes
) -> None:
    with playing(server=ServerOptions(**cast("Any", options))) as wire:
        first = wire.ask()
        in_flight = wire.in_flight
        second = wire.client = wire.connect()
        second.sends(post().partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        assert wire.error == (status, code)
        assert b"Retry-After: " + retry_after in wire.answer.head
        assert second.eof, "it is not read to its end"
        reason = "in_flight" if status == 503 else "client"
        assert f'pointsman_refused_total{{reason="{reason}"}} 1.0' in wire.generations.metrics.render().decode()
        assert wire.in_flight == in_flight
        reason = "in_flight" if status == 503 else "client"
        assert f'pointsman_refused_total{{reason="{reason}"}} 1.0' in wire.generations.metrics.render().decode()
        wire.client = wire.connect()
        wire.client.sends(b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n")
        assert wire.answer.status == 200, "what needs no vLLM is answered all the same"
        first.sends(OK)
        wire.client = wire.connect()
        wire.ask().sends(OK)
        assert wire.answer.status == 200
        assert wire.in_flight["metrics"] == 0


def test_a_client_may_have_exactly_as_many_as_its_share() -> None:
    with playing(server=ServerOptions(max_in_flight_per_client=3)) as wire:
        for _ in range(3):
            wire.client = wire.connect()
            wire.ask()
        wire.client = wire.connect()
        wire.client.sends(post())
        assert wire.error == (429, "rate_limit_exceeded")
        wire.upstream.sends(OK)
        for status in (0, 429):
            wire.client = wire.connect()
            wire.client.sends(post())
            assert (wire.answer.status if wire.client.taken else 0) == status


def test_a_client_without_an_address_has_no_share() -> None:
    """Those of a Unix socket cannot be told apart."""
    with playing(server=ServerOptions(max_in_flight_per_client=1)) as wire:
        for _ in range(3):
            wire.client = wire.connect("")
            wire.ask()
        assert wire.in_flight == {"metrics": 3, "client": 0, "generations": 3}


def test_the_first_of_two_that_ends_does_not_take_it_from_the_other(wire: Wire) -> None:
    first = wire.ask()
    wire.client = wire.connect()
    second = wire.ask()
    wire.reload(threshold=0.5)
    first.sends(OK)
    assert len(wire.generations._in_use) == 2
    second.sends(OK)
    assert len(wire.generations._in_use) == 1


def test_an_endpoint_that_a_reload_takes_away_closes_with_the_last_request_to_it(wire: Wire) -> None:
    idle = wire.ask()
    idle.sends(OK)
    wire.client = wire.connect()
    other = wire.connect()
    other.sends(post())
    busy = wire.upstream
    assert busy is idle
    wire.clock.do(wire.generations.swap, wire.elsewhere())
    assert not busy.aborted
    busy.sends(OK)
    assert busy.aborted


@pytest.mark.parametrize("end", ["leaves", "stops"])
def test_a_request_that_waits_for_its_class_can_end(wire: Wire, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    async def waits(*_: object) -> None:
        await continue_in_task()
        await wire.clock.create_future()

    monkeypatch.setattr(CLASSIFIER, "classify", waits)
    wire.client.sends(post("MoM"))
    assert wire.in_flight["metrics"] == 1
    if end == "leaves":
        wire.client.resets()
        assert wire.outcomes()[0]["left_in"] == "classify"
    else:
        wire.stop()
        assert wire.error == (503, "shutting_down")
    assert wire.in_flight == NOTHING
    assert wire.a.connections == []


def test_what_is_not_listed_has_an_outcome_too(wire: Wire) -> None:
    wire.client.sends(b"GET /v1/load_lora_adapter HTTP/1.1\r\nHost: here\r\nX-Request-Id: mine\r\n\r\n")
    assert wire.error == (404, "not_found")
    (outcome,) = wire.outcomes()
    assert (outcome["status"], outcome["path"], outcome["request_id"]) == (404, "other", "mine")
    assert wire.in_flight == NOTHING


def test_each_outcome_is_counted_under_its_status(wire: Wire) -> None:
    wire.ask().resets()
    wire.ask().sends(OK)
    wire.client = wire.connect()
    wire.ask()
    wire.client.resets()
    counted = wire.generations.metrics.render().decode().splitlines()
    for status in (200, 499, 502):
        assert f'pointsman_requests_total{{path="/v1/chat/completions",status="{status}"}} 1.0' in counted
    assert 'pointsman_clients_left_total{phase="head"} 1.0' in counted


def test_an_answer_of_our_own_has_its_status_in_the_outcome(wire: Wire) -> None:
    wire.client.sends(post("MoM", "/v1/route"))
    assert wire.answer.status == 200
    (outcome,) = wire.outcomes()
    assert (outcome["status"], outcome["path"]) == (200, "/v1/route")


def test_an_error_names_its_request_by_which_the_log_is_searched(wire: Wire) -> None:
    wire.ask("base", "/v1/chat/completions", "X-Request-Id: mine").resets()
    assert b"\r\nX-Request-Id: mine" in wire.answer.head


def test_only_a_body_that_is_late_is_counted_as_one() -> None:
    late = 'pointsman_refused_total{reason="body_timeout"} 1.0'
    with playing(server=ServerOptions(body_timeout_ms=1_000)) as wire:
        wire.ask().resets()
        wire.client = wire.connect()
        wire.client.sends(post()[:-1])
        assert late not in wire.generations.metrics.render().decode()
        wire.clock.advance(1.0)
        assert wire.error == (408, "request_timeout")
        assert late in wire.generations.metrics.render().decode()
