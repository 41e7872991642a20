"""A 503 by which vLLM says that its queue is full is tried elsewhere, and is no failure of the endpoint."""

from __future__ import annotations

import pytest

from support.playbook import LAST, OK, STREAM, Wire, chunk, event, half_open, with_length

# As vLLM 0.32 writes them.
QUEUE = (
    b'{"error":{"message":"The engine is currently busy and cannot accept new requests. Please try again later or on a '
    b'different instance.","type":"Service Unavailable","param":null,"code":503}}'
)
TOKENS = (
    b'{"type":"error","error":{"type":"overloaded_error","message":"The engine has reached its prefill token backlog '
    b'limit. Please try again later or on a different instance."}}'
)
BUSY = "503 Service Unavailable"
DEAD = b'{"error":{"message":"EngineCore encountered an issue.","type":"Service Unavailable","param":null,"code":503}}'


@pytest.mark.parametrize(
    ("model", "path", "said"),
    [
        ("base", "/v1/chat/completions", QUEUE),
        ("MoM", "/v1/chat/completions", QUEUE),
        ("MoM", "/v1/responses", TOKENS),
        ("technical-lora", "/v1/messages", TOKENS),
        ("base", "/v1/embeddings", QUEUE),
    ],
)
def test_the_other_endpoint_gets_the_request_and_the_client_its_answer_alone(
    wire: Wire, model: str, path: str, said: bytes
) -> None:
    full = wire.ask(model, path)
    wire.goes_to_b(full, with_length(said, BUSY), "queue_full")
    assert b'pointsman_retries_total{reason="queue_full"} 1.0' in wire.generations.metrics.render()
    assert full in wire.pooled


def test_where_all_are_full_the_last_answer_is_the_clients(wire: Wire) -> None:
    wire.ask().sends(with_length(QUEUE, BUSY, "X-Own: a"))
    wire.upstream.sends(with_length(QUEUE, BUSY, "X-Own: b"))
    assert (wire.answer.status, wire.answer.body, wire.answer.whole) == (503, QUEUE, True)
    assert b"X-Own: b" in wire.answer.head
    assert b"Retry-After: 1\r\n" in wire.answer.head
    assert (wire.a.requests, wire.b.requests, wire.at_endpoints) == (1, 1, 0)
    assert [outcome["status"] for outcome in wire.outcomes()] == [503]


def test_an_endpoint_that_is_down_is_no_better(wire: Wire) -> None:
    """It would make a 502 of an answer that says what is the matter."""
    wire.endpoints["b"].reachable = False
    wire.ask().sends(with_length(QUEUE, BUSY))
    assert (wire.answer.status, wire.answer.body, wire.b.requests) == (503, QUEUE, 0)


def test_a_long_body_goes_whole_to_the_other_endpoint(wire: Wire) -> None:
    """It is let go only with the head that the client gets."""
    body = b"x" * 1_000_000
    head = "POST /v1/embeddings HTTP/1.1\r\nHost: here\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
    wire.client.sends((head % len(body)).encode() + body)
    wire.upstream.sends(with_length(QUEUE, BUSY))
    assert wire.upstream in wire.b.connections
    assert wire.upstream.written.partition(b"\r\n\r\n")[2] == body


def test_an_adapter_that_one_endpoint_has_no_room_for_and_the_other_does_not_know_is_asked_for_once_at_each(
    wire: Wire,
) -> None:
    """Then the base model answers."""
    wire.ask("MoM").sends(with_length(QUEUE, BUSY))
    wire.upstream.sends(with_length(b"The model `technical-lora` does not exist.", "404 Not Found"))
    assert wire.upstream in wire.a.connections
    assert b'"llama2-7b"' in wire.upstream.written.rpartition(b'"model":')[2]
    wire.upstream.sends(OK)
    assert wire.answer.status == 200


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(with_length(DEAD, BUSY), id="another reason"),
        pytest.param(with_length(QUEUE, "500 Oops"), id="another status"),
        pytest.param(with_length(QUEUE + b" " * 16_384, BUSY), id="too long"),
    ],
)
def test_any_other_error_is_the_clients(wire: Wire, answer: bytes) -> None:
    wire.ask().sends(answer)
    assert wire.answer.body == answer.partition(b"\r\n\r\n")[2]
    assert wire.b.requests == 0


FULL = [
    pytest.param(with_length(QUEUE, BUSY), id="an answer"),
    pytest.param(b"HTTP/1.1 503 Full\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(QUEUE) + LAST, id="in chunks"),
    pytest.param(STREAM + event("one") + chunk(b"data: " + QUEUE + b"\n\n") + LAST, id="found out late, in a stream"),
]


@pytest.mark.parametrize("answer", FULL)
def test_a_full_endpoint_has_not_failed(wire: Wire, answer: bytes) -> None:
    wire.endpoints["b"].reachable = False
    breaker = wire.almost_open()
    wire.ask().sends(answer)
    assert wire.answer.whole
    assert not breaker.opened


def test_it_closes_the_breaker_of_one_that_had() -> None:
    with half_open() as (wire, breaker):
        wire.ask().sends(with_length(QUEUE, BUSY))
        assert not breaker.opened
        assert wire.b.requests == 1


def test_a_503_that_breaks_off_is_a_502_and_is_asked_for_nowhere_else(wire: Wire) -> None:
    first = wire.ask()
    first.sends(with_length(QUEUE[:20], BUSY, length=len(QUEUE)))
    first.ends()
    assert wire.error == (502, "upstream_broken")
    assert wire.b.requests == 0


def test_a_client_that_leaves_meanwhile_is_asked_for_nowhere_else(wire: Wire) -> None:
    first = wire.ask()
    first.sends(with_length(QUEUE[:20], BUSY, length=len(QUEUE)))
    wire.client.resets()
    assert first.aborted
    assert wire.b.requests == 0


def test_a_stored_response_is_asked_for_where_it_is(wire: Wire) -> None:
    wire.generations.stored.add("resp_1", "", "a")
    wire.client.sends(b"GET /v1/responses/resp_1 HTTP/1.1\r\nHost: here\r\n\r\n")
    wire.upstream.sends(with_length(QUEUE, BUSY))
    assert (wire.answer.status, wire.b.requests) == (503, 0)
