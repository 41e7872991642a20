"""An endpoint that refuses the service's key gets no requests, and no client can bring it about."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pointsman.app import gauges
from pointsman.config.model import AdapterOptions
from support.playbook import OK, Wire, playing, with_length
from support.virtual_loop import FakeTransport

REFUSED = with_length(b'{"error":"Unauthorized"}', "401 Unauthorized")
FORBIDDEN = with_length(b'{"error":"Forbidden"}', "403 Forbidden")
MODELS = with_length(b'{"data":[{"id":"llama2-7b"}]}')
WANTED = "endpoint a wants the key of vLLM's --api-key; put it in a file and name that in pointsman.relay.api_key_file"
POLLED = AdapterOptions(poll_interval_ms=10_000)


def answer_polls(wire: Wire, **answers: bytes) -> None:
    """Let `a` and `b` answer the requests for their models that wait."""
    for name, answer in answers.items():
        vllm = getattr(wire, name)
        vllm.connects()
        poll: FakeTransport = vllm.connections[-1]
        assert poll.written.startswith(b"GET /v1/models ")
        poll.sends(answer)


@pytest.fixture
def polled() -> Iterator[Wire]:
    """A wire whose vLLMs have just accepted the key."""
    with playing(adapters=POLLED) as wire:
        answer_polls(wire, a=MODELS, b=MODELS)
        wire.clock.advance(0.2)
        wire.a.accepts = wire.b.accepts = True
        wire.log.truncate(0)
        yield wire


def states(wire: Wire) -> list[str]:
    """What the log tells of endpoint `a`."""
    lines = map(json.loads, wire.log.getvalue().strip("\0").splitlines())
    return [line["state"] for line in lines if line["event"] == "endpoint" and line["endpoint"] == "a"]


def gauge(wire: Wire, name: str) -> float:
    gauges._endpoints(wire.generations.metrics, lambda: wire.endpoints)
    text = wire.clock.do(wire.generations.metrics.render).decode()
    (line,) = (line for line in text.splitlines() if line.startswith(f'pointsman_{name}{{endpoint="a"}}'))
    return float(line.rpartition(" ")[2])


@pytest.mark.parametrize("refusal", [REFUSED, FORBIDDEN], ids=["401", "403"])
def test_an_endpoint_that_refuses_the_key_gets_no_requests_until_it_accepts_it(polled: Wire, refusal: bytes) -> None:
    for _ in range(3):
        polled.clock.advance(10.0)
        polled.a.connections[-1].sends(refusal)
        polled.b.connections[-1].sends(MODELS)
    assert polled.ask() in polled.b.connections
    polled.upstream.sends(OK)
    assert states(polled) == [
        "gets no requests until it accepts the key",
        f"models unknown: {WANTED}",
    ], "once for all polls"
    assert polled.generations.trouble() is None, "the other one can be asked"
    assert gauge(polled, "endpoint_key_refused") == 1
    polled.clock.advance(10.0)
    polled.a.connections[-1].sends(MODELS)
    assert states(polled)[2:] == ["accepts the key again", "serves llama2-7b"]
    assert polled.ask() in polled.a.connections


def test_it_does_not_count_as_up() -> None:
    with playing(adapters=POLLED) as wire:
        answer_polls(wire, a=REFUSED, b=MODELS)
        assert gauge(wire, "endpoint_up") == 0


def test_where_no_endpoint_accepts_the_key_the_service_is_not_ready(polled: Wire) -> None:
    polled.clock.advance(10.0)
    polled.a.connections[-1].sends(REFUSED)
    polled.b.connections[-1].sends(REFUSED)
    assert polled.generations.trouble() == "no endpoint accepts the key in pointsman.relay.api_key_file; see the log"
    polled.clock.advance(10.0)
    polled.b.connections[-1].sends(MODELS)
    assert polled.generations.trouble() is None


@pytest.mark.parametrize("refusal", [REFUSED, FORBIDDEN], ids=["401", "403"])
def test_a_request_that_is_refused_has_the_key_checked_at_once(polled: Wire, refusal: bytes) -> None:
    polled.ask().sends(refusal)
    assert polled.answer.body == refusal.partition(b"\r\n\r\n")[2], "the client gets it all the same"
    polled.clock.advance(0.1)
    assert polled.upstream.written.startswith(b"GET /v1/models ")
    polled.upstream.sends(REFUSED)
    assert polled.ask() in polled.b.connections


def test_a_client_that_brings_about_a_403_takes_no_endpoint_away(polled: Wire) -> None:
    polled.ask().sends(FORBIDDEN)
    polled.clock.advance(0.1)
    polled.upstream.sends(MODELS)
    assert polled.ask() in polled.a.connections
    assert states(polled) == []


def test_the_keys_of_clients_say_nothing_about_the_endpoint() -> None:
    with playing(adapters=POLLED, forward_authorization=True) as wire:
        answer_polls(wire, a=REFUSED, b=REFUSED)
        wire.clock.advance(0.2)
        wire.a.accepts = True
        polls = len(wire.a.connections)
        wire.ask("base", "/v1/chat/completions", "Authorization: Bearer theirs").sends(REFUSED)
        wire.clock.advance(0.2)
        assert len(wire.a.connections) == polls + 1, "and cause no check"
        assert wire.generations.trouble() is None
        assert wire.ask() in wire.a.connections


def test_clients_keys_from_a_reload_on_make_up_for_a_refused_one() -> None:
    with playing(adapters=POLLED) as wire:
        answer_polls(wire, a=REFUSED, b=REFUSED)
        wire.a.accepts = wire.b.accepts = True
        wire._options = replace(wire._options, relay=replace(wire._options.relay, forward_authorization=True))
        wire.reload()
        for vllm in (wire.a, wire.b):
            vllm.connections[-1].sends(REFUSED)
        assert wire.generations.trouble() is None


def test_a_key_from_a_reload_is_tried_at_once(polled: Wire) -> None:
    polled.clock.advance(10.0)
    polled.a.connections[-1].sends(REFUSED)
    prepared = replace(polled.prepared(), key_line=b"Authorization: Bearer right\r\n")
    polled.clock.do(polled.generations.swap, prepared)
    assert b"Bearer right" in polled.a.connections[-1].written
    polled.a.connections[-1].sends(MODELS)
    assert polled.ask() in polled.a.connections
