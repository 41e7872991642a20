"""Which endpoint gets a request, what it gets of it, and what counts against an endpoint."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from pointsman.errors import UpstreamUnreachable
from pointsman.proxy.forward import Forwarder
from pointsman.proxy.forwarded_request import ForwardPlan
from support.client_keys import bearer, line
from support.playbook import LAST, OK, STREAM, Wire, chunk, event, playing, post, with_length
from support.virtual_loop import FakeTransport

# --- what vLLM gets -----------------------------------------------------------------------------------------------


def test_the_request_is_sent_as_it_came_but_for_what_concerns_one_connection(wire: Wire) -> None:
    fields = ("X-Own: a", "Keep-Alive: timeout=5", "Connection: x-hop", "X-Hop: b", "X-Request-Id: mine")
    head, _, body = wire.ask("base", "/v1/chat/completions?a=1", *fields).written.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /v1/chat/completions?a=1 HTTP/1.1",
        b"Host: 127.0.0.1:8000",
        b"Content-Type: application/json",
        b"X-Own: a",
        b"X-Request-Id: mine",
        b"Content-Length: %d" % len(body),
    ]
    assert body == post().partition(b"\r\n\r\n")[2]


def test_a_get_without_a_body_has_no_length(wire: Wire) -> None:
    wire.generations.stored.add("resp_1", "", "a")
    wire.client.sends(b"GET /v1/responses/resp_1?stream=true HTTP/1.1\r\nHost: here\r\n\r\n")
    assert wire.upstream.written.startswith(b"GET /v1/responses/resp_1?stream=true HTTP/1.1\r\n")
    assert b"Content-Length" not in wire.upstream.written


@pytest.mark.parametrize("field", ["Authorization: Bearer sk", "X-Api-Key: sk", "Cookie: sk"])
def test_a_clients_credentials_stay_here(wire: Wire, field: str) -> None:
    assert b"sk" not in wire.ask("base", "/v1/chat/completions", field).written.partition(b"\r\n\r\n")[0]


# --- where it goes ------------------------------------------------------------------------------------------------


def test_each_endpoint_is_tried_once(wire: Wire) -> None:
    wire.a.accepts = wire.b.accepts = False
    wire.client.sends(post())
    wire.a.refuses()
    wire.b.refuses()
    assert (len(wire.a.waiting), len(wire.b.waiting)) == (0, 0)
    assert wire.error == (502, "upstream_unreachable")
    assert b"endpoint b" in wire.answer.body


def test_a_request_whose_connection_broke_goes_to_no_other_endpoint(wire: Wire) -> None:
    """vLLM closed the connection and does not listen any more: the request may be what killed it."""
    reused = wire.ask()
    reused.sends(OK)
    assert wire.ask() is reused
    wire.a.accepts = False
    reused.ends()
    wire.a.refuses()
    assert wire.b.requests == 0
    assert wire.error == (502, "upstream_unreachable")
    assert [tried["why"] for tried in wire.outcomes()[-1]["retried"]] == ["reused"]
    assert wire.at_endpoints == 0


def test_the_502_of_an_endpoint_that_does_not_listen_says_when_to_come_again(wire: Wire) -> None:
    """It restarts, which takes vLLM longer than that."""
    wire.a.accepts = wire.b.accepts = False
    wire.client.sends(post())
    wire.a.refuses()
    wire.b.refuses()
    assert wire.answer.status == 502
    assert b"\r\nRetry-After: 5" in wire.answer.head


def test_so_does_the_one_of_an_endpoint_whose_breaker_is_open() -> None:
    with playing(breaker_failures=2) as wire:
        for client, expected in (("192.0.2.1", False), ("192.0.2.2", True)):
            wire.client = wire.connect(client)
            wire.ask().resets()
            assert wire.error == (502, "upstream_broken")
            assert (b"\r\nRetry-After: 5" in wire.answer.head) is expected


def test_one_of_a_sound_endpoint_does_not(wire: Wire) -> None:
    wire.ask().sends(b"SSH-2.0\r\n\r\n")
    assert wire.answer.status == 502
    assert b"Retry-After" not in wire.answer.head


# --- what is in flight at an endpoint -----------------------------------------------------------------------------


def leaves(wire: Wire, _: FakeTransport) -> None:
    wire.client.resets()


def stops(wire: Wire, _: FakeTransport) -> None:
    wire.stop()


def half_closes(wire: Wire, _: FakeTransport) -> None:
    wire.client.ends()


def test_a_request_that_leaves_an_endpoint_for_another_counts_at_the_other_alone(wire: Wire) -> None:
    wire.a.accepts = wire.b.accepts = False
    wire.client.sends(post())
    assert [state.in_flight for state in wire.endpoints.values()] == [1, 0]
    wire.a.refuses()
    assert [state.in_flight for state in wire.endpoints.values()] == [0, 1]


# --- the breaker --------------------------------------------------------------------------------------------------


def answers(data: bytes) -> Callable[[Wire, FakeTransport], None]:
    return lambda _, upstream: upstream.sends(data)


DEAD = chunk(b'data: {"error": {"message": "EngineDeadError"}}\n\n')
INNOCENT = [
    *[
        pytest.param(answers(with_length(b"{}", status)), id=status)
        for status in ("400 Bad Request", "401 No", "404 Not Found", "422 No", "429 Many", "500 Oops", "501 No")
    ],
    pytest.param(answers(with_length(b"", "302 Found", length=2)), id="a redirect"),
    pytest.param(leaves, id="a client that leaves"),
    pytest.param(half_closes, id="a client that has no more to send"),
    pytest.param(stops, id="the end of the service"),
    pytest.param(answers(STREAM + event("one") + LAST), id="a whole stream"),
]
FAILS = [
    *[
        pytest.param(answers(with_length(b"{}", status)), id=status)
        for status in ("502 Bad Gateway", "503 Unavailable", "504 Timeout")
    ],
    pytest.param(lambda _, upstream: upstream.ends(), id="a close"),
    pytest.param(lambda _, upstream: upstream.resets(), id="a reset"),
    pytest.param(answers(b"SSH-2.0\r\n\r\n"), id="no HTTP"),
    pytest.param(lambda wire, _: wire.clock.advance(4.25), id="no answer in time"),
    pytest.param(answers(STREAM + DEAD + LAST), id="a stream that ends with an error"),
]


def opened_by(count: int, act: Callable[[Wire, FakeTransport], None], clients: int = 2) -> bool:
    """Whether so many requests of this kind in a row open a breaker that takes three failures."""
    with playing(breaker_failures=3, breaker_open_ms=600_000) as wire:
        for number in range(count):
            wire.client = wire.connect(f"192.0.2.{number % clients}")
            act(wire, wire.ask())
        return wire.endpoints["a"].breaker.opened


@pytest.mark.parametrize("act", INNOCENT)
def test_what_a_client_can_cause_never_opens_the_breaker(act: Callable[[Wire, FakeTransport], None]) -> None:
    assert not opened_by(6, act)


@pytest.mark.parametrize("act", FAILS)
def test_what_the_endpoint_does_wrong_opens_it_after_so_many_in_a_row(
    act: Callable[[Wire, FakeTransport], None],
) -> None:
    assert not opened_by(2, act)
    assert opened_by(3, act)
    assert not opened_by(9, act, clients=1), "what one client asks for may be why"


def test_a_client_is_told_from_another_by_its_key_else_its_address() -> None:
    def opens(*clients: tuple[str, str], keys: bytes | None = None) -> bool:
        with playing(breaker_failures=2, keys=keys) as wire:
            for address, field in clients:
                wire.client = wire.connect(address)
                wire.ask("base", "/v1/chat/completions", field).resets()
            return wire.endpoints["a"].breaker.opened

    one, two = "192.0.2.1", "192.0.2.2"
    assert opens((one, "X: 1"), (two, "X: 1"))
    assert not opens((one, "X: 1"), (one, "X: 2"))
    assert not opens((one, "X-Api-Key: 1"), (one, "X-Api-Key: 2")), "anybody can make up credentials"
    assert opens((one, "X-Api-Key: 1"), (two, "X-Api-Key: 1"))
    keys = line("ann") + line("bob")
    assert opens((one, bearer("ann")), (one, bearer("bob")), keys=keys)
    assert not opens((one, bearer("ann")), (two, "X-Api-Key: ann-secret"), keys=keys)


def test_where_one_client_alone_sees_failures_a_probe_decides_at_once() -> None:
    for status, opened in (("200 OK", False), ("503 Service Unavailable", True)):
        with playing(breaker_failures=3, health_interval_ms=60_000) as wire:
            wire.clock.advance(5.0)  # the first probe
            for turn in range(3):
                wire.client = wire.connect()
                wire.ask().sends(with_length(b"{}", "502 Bad Gateway"))
                assert not wire.endpoints["a"].breaker.opened
                assert (b"GET /health" in wire.upstream.written) is (turn == 2)
            wire.upstream.sends(with_length(b"", status))
            assert wire.endpoints["a"].breaker.opened is opened


def test_so_does_one_that_falls_silent() -> None:
    def silent(wire: Wire, upstream: FakeTransport) -> None:
        upstream.sends(STREAM + event("one"))
        wire.clock.advance(2.25)

    assert opened_by(3, silent)


def test_so_does_an_endpoint_that_does_not_listen() -> None:
    with playing(breaker_failures=3) as wire:
        wire.a.accepts = False
        for _ in range(3):
            assert not wire.endpoints["a"].breaker.opened
            wire.client = wire.connect()
            wire.client.sends(post())
            wire.a.refuses()
        assert wire.endpoints["a"].breaker.opened


def test_a_reused_connection_that_had_been_closed_is_no_failure(wire: Wire) -> None:
    wire.ask().sends(OK)
    breaker = wire.almost_open()
    wire.ask().ends()
    assert not breaker.opened


def test_a_failure_is_counted_by_its_code(wire: Wire) -> None:
    wire.ask().resets()
    assert json.loads(wire.answer.body)["error"]["type"] == "upstream_error"
    assert b'pointsman_upstream_errors_total{code="upstream_broken",endpoint="a"} 1.0' in (
        wire.generations.metrics.render()
    )


def test_an_endpoint_that_refuses_a_connection_is_down_until_it_answers_its_next_probe() -> None:
    with playing(health_interval_ms=10_000) as wire:
        wire.clock.advance(5.0)  # one probe without an answer is nothing yet
        assert wire.endpoints["a"].reachable
        wire.a.accepts = False
        wire.client.sends(post())
        wire.a.refuses()
        assert (wire.endpoints["a"].reachable, wire.endpoints["b"].reachable) == (False, True)
        wire.a.accepts = True
        wire.clock.advance(10.0)
        wire.a.connections[-1].sends(OK)
        assert wire.endpoints["a"].reachable


def test_an_endpoint_that_is_left_for_another_is_counted(wire: Wire) -> None:
    wire.a.accepts = False
    wire.client.sends(post())
    wire.a.refuses()
    wire.upstream.sends(OK)
    counted = wire.generations.metrics.render().decode()
    assert 'pointsman_upstream_errors_total{code="upstream_unreachable",endpoint="a"} 1.0' in counted


def test_a_request_that_no_endpoint_may_serve_says_what_to_check(wire: Wire) -> None:
    nothing: Any = None
    with pytest.raises(UpstreamUnreachable, match="check preferred_endpoints"):
        _ = wire.generations.current.backend.forwarder.forward(nothing, ForwardPlan((), b""))


def test_an_answer_of_a_listed_path_gets_no_headers_but_ours(wire: Wire) -> None:
    wire.generations.stored.add("resp_1", "", "a")
    wire.client.sends(b"GET /v1/responses/resp_1 HTTP/1.1\r\nHost: here\r\n\r\n")
    wire.upstream.sends(OK)
    names = [line.partition(b":")[0] for line in wire.answer.head.strip().split(b"\r\n")[1:]]
    assert names == [b"Content-Length", b"X-Request-Id", b"Server-Timing"]


async def test_a_base_model_that_cannot_be_reached_is_not_replaced() -> None:
    """What was planned anew could be an adapter, for which nobody asked."""
    exchange, replan = mock.Mock(), mock.Mock()
    with (
        mock.patch.object(Forwarder, "_best", side_effect=UpstreamUnreachable("nobody there")),
        pytest.raises(UpstreamUnreachable),
    ):
        await forwarder().forward(exchange, ForwardPlan((), b"", "base"), replan)
    replan.assert_not_called()


async def test_an_adapter_that_no_endpoint_may_serve_is_counted_at_none() -> None:
    exchange, made = mock.Mock(), forwarder()
    exchange.record.endpoint = None
    adapter, base = ForwardPlan((), b"", "adapter", adapter=True), ForwardPlan((), b"", "base")
    sent = [UpstreamUnreachable("nobody may"), asyncio.sleep(0)]
    with mock.patch.object(Forwarder, "_send", side_effect=sent):
        await made.forward(exchange, adapter, lambda _: base)
    counted: Any = made.upstreams.metrics.upstream_errors.add
    counted.assert_called_once_with("", "upstream_unreachable")
    assert exchange.record_retry.call_args.args[:2] == ("", "connect")


def forwarder() -> Forwarder:
    upstreams = mock.Mock()
    upstreams.quarantine = None
    return Forwarder(upstreams, None)
