"""A 404 for a model is tried elsewhere; one for an adapter that the program chose never reaches the client."""

from __future__ import annotations

import pytest

from support.playbook import OK, Wire, chunk, half_open, post, with_length

GONE = b'{"error": {"message": "The model `technical-lora` does not exist.", "code": 404}}'
NOT_FOUND = "404 Not Found"


def model_of(written: bytes) -> bytes:
    return written.rpartition(b'"model":')[2].split(b",")[0].strip()


def test_the_other_endpoint_is_asked_and_then_the_base_model(wire: Wire) -> None:
    first = wire.ask("MoM")
    first.sends(with_length(GONE, NOT_FOUND))
    second = wire.upstream
    assert second in wire.b.connections
    assert model_of(second.written) == b'"technical-lora"'
    second.sends(with_length(GONE, NOT_FOUND))
    assert wire.client.taken == b""
    last = wire.upstream
    assert model_of(last.written) == b'"llama2-7b"'
    last.sends(OK)
    assert (wire.answer.status, wire.answer.body) == (200, b"{}")
    assert b"x-pointsman-reason: adapter_missing" in wire.answer.head
    (outcome,) = wire.outcomes()
    assert (outcome["status"], outcome["selected_model"]) == (200, "llama2-7b")
    assert [(tried["endpoint"], tried["why"]) for tried in outcome["retried"]] == [("a", "adapter"), ("b", "adapter")]
    assert wire.at_endpoints == 0


def test_its_connection_is_used_again(wire: Wire) -> None:
    first = wire.ask("MoM")
    first.sends(with_length(GONE, NOT_FOUND))
    assert first in wire.pooled


@pytest.mark.parametrize("pieces", [2, 80])
def test_a_404_that_comes_in_pieces_is_held_back_until_it_is_whole(wire: Wire, pieces: int) -> None:
    first = wire.ask("MoM")
    first.sends(with_length(b"", NOT_FOUND, length=len(GONE)))
    step = -(-len(GONE) // pieces)
    for at in range(0, len(GONE), step):
        assert (wire.client.taken, wire.b.requests) == (b"", 0)
        first.sends(GONE[at : at + step])
    assert wire.b.requests == 1


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        pytest.param("MoM", with_length(b'{"detail": "no such tool"}', NOT_FOUND), id="it names no model"),
        pytest.param("MoM", with_length(GONE.replace(b"`", b"'"), NOT_FOUND), id="it names it in another way"),
        pytest.param("MoM", with_length(GONE.replace(b"technical", b"tech"), NOT_FOUND), id="it names another"),
        pytest.param("MoM", with_length(GONE, "400 Bad Request"), id="it is no 404"),
        pytest.param("MoM", with_length(GONE + b" " * 16_384, NOT_FOUND), id="it is too long to be one"),
    ],
)
def test_any_other_answer_is_the_clients(wire: Wire, model: str, answer: bytes) -> None:
    wire.ask(model).sends(answer)
    assert wire.answer.body == answer.partition(b"\r\n\r\n")[2]
    assert wire.answer.whole
    assert wire.a.requests + wire.b.requests == 1


# --- a model that the client named --------------------------------------------------------------------------------


NAMED = [
    ("technical-lora", "/v1/chat/completions"),
    ("technical-lora", "/v1/messages"),
    ("technical-lora", "/tokenize"),
]


@pytest.mark.parametrize(("model", "path"), NAMED)
def test_a_model_that_the_client_named_is_asked_for_at_the_other_endpoint(wire: Wire, model: str, path: str) -> None:
    wire.goes_to_b(wire.ask(model, path), with_length(GONE, NOT_FOUND), "model")


@pytest.mark.parametrize(("model", "path"), NAMED)
def test_where_none_knows_it_the_last_404_is_the_clients(wire: Wire, model: str, path: str) -> None:
    wire.ask(model, path).sends(with_length(GONE, NOT_FOUND, "X-Own: a"))
    last = GONE.replace(b"exist.", b"exist. Valid aliases: base.")
    wire.upstream.sends(with_length(last, NOT_FOUND, "X-Own: b"))
    assert (wire.answer.status, wire.answer.body, wire.answer.whole) == (404, last, True)
    assert b"X-Own: b" in wire.answer.head
    assert [outcome["status"] for outcome in wire.outcomes()] == [404]
    assert (wire.at_endpoints, wire.in_flight["metrics"], wire.timed) == (0, 0, 0)
    assert len(wire.pooled) == 2
    assert all(host.refused == {"technical-lora"} for host in wire.generations.current.poller.hosts.values())


def test_a_404_after_a_second_try_proves_that_the_request_broke_nothing(wire: Wire) -> None:
    """So it may go to the other endpoint by any connection."""
    wire.a.accepts = False
    wire.client.sends(post("other"))
    wire.a.refuses()
    there = wire.upstream
    there.sends(OK)
    wire.a.accepts = True
    reused = wire.ask("other")
    reused.sends(OK)
    assert wire.ask("technical-lora") is reused
    reused.ends()
    assert wire.upstream in wire.a.connections
    wire.upstream.sends(with_length(GONE, NOT_FOUND))
    assert wire.upstream is there
    there.sends(OK)
    assert wire.answer.status == 200


def test_one_that_is_down_meanwhile_is_a_502(wire: Wire) -> None:
    """It may serve the model."""
    wire.b.accepts = False
    wire.ask("technical-lora").sends(with_length(GONE, NOT_FOUND))
    wire.b.refuses()
    assert wire.error == (502, "upstream_unreachable")


def test_the_list_of_an_endpoint_that_does_not_know_a_model_is_read_again(wire: Wire) -> None:
    host = wire.generations.current.poller.hosts["a"]
    host.wake.clear()
    wire.ask("technical-lora").sends(with_length(GONE, NOT_FOUND))
    wire.upstream.sends(OK)
    assert host.wake.is_set()
    assert wire.ask("technical-lora") in wire.b.connections, "and it gets no more requests for it until then"


@pytest.mark.parametrize(("size", "asked"), [(16_384, 2), (16_385, 1)])
def test_an_error_about_a_model_has_16_kib_at_most(wire: Wire, size: int, asked: int) -> None:
    wire.ask("MoM").sends(with_length(GONE.ljust(size), NOT_FOUND))
    assert wire.a.requests + wire.b.requests == asked


def test_one_without_a_length_is_passed_on(wire: Wire) -> None:
    head = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire.ask("MoM").sends(head + chunk(GONE) + b"0\r\n\r\n")
    assert (wire.answer.status, wire.answer.body) == (404, GONE)


def test_the_404_of_the_base_model_is_the_clients(wire: Wire) -> None:
    for _ in range(2):
        wire.ask("MoM") if not wire.a.connections else None
        wire.upstream.sends(with_length(GONE, NOT_FOUND))
    wire.upstream.sends(with_length(GONE.replace(b"technical-lora", b"llama2-7b"), NOT_FOUND))
    assert wire.answer.status == 404


def test_a_404_that_breaks_off_is_a_502_and_is_not_asked_again(wire: Wire) -> None:
    first = wire.ask("MoM")
    first.sends(with_length(GONE[:20], NOT_FOUND, length=len(GONE)))
    first.ends()
    assert wire.error == (502, "upstream_broken")
    assert wire.b.requests == 0


def test_a_404_that_falls_silent_is_a_504(wire: Wire) -> None:
    """Its first byte has come, but none that the client has seen."""
    first = wire.ask("MoM")
    first.sends(with_length(GONE[:20], NOT_FOUND, length=len(GONE)))
    wire.clock.advance(4.25)
    assert wire.error == (504, "upstream_timeout")
    assert first.aborted


def test_a_client_that_leaves_meanwhile_is_asked_for_nowhere_else(wire: Wire) -> None:
    first = wire.ask("MoM")
    first.sends(with_length(GONE[:20], NOT_FOUND, length=len(GONE)))
    wire.client.resets()
    assert first.aborted
    assert wire.b.requests == 0
    assert wire.outcomes()[0]["status"] == 499


def test_it_counts_as_an_answer_of_a_sound_endpoint(wire: Wire) -> None:
    breaker = wire.almost_open()
    wire.ask("MoM").sends(with_length(GONE, NOT_FOUND))
    assert not breaker.opened


def test_and_closes_the_breaker_of_one_that_was_not() -> None:
    with half_open() as (wire, breaker):
        wire.ask("MoM").sends(with_length(GONE, NOT_FOUND))
        assert not breaker.opened


def test_an_endpoint_that_said_so_gets_no_more_requests_for_it(wire: Wire) -> None:
    wire.ask("MoM").sends(with_length(GONE, NOT_FOUND))
    wire.upstream.sends(OK)
    assert wire.ask("MoM") in wire.b.connections


def test_one_that_lists_it_again_meanwhile_is_not_asked_twice_by_one_request(wire: Wire) -> None:
    """Two that list and do not know it would take turns for ever."""
    wire.ask("MoM").sends(with_length(GONE, NOT_FOUND))
    poller = wire.generations.current.poller
    poller.hosts["a"].refused.clear()
    wire.clock.do(poller.publish)
    wire.upstream.sends(with_length(GONE, NOT_FOUND))
    assert model_of(wire.upstream.written) == b'"llama2-7b"'


def test_where_no_endpoint_with_the_adapter_can_be_reached_the_base_answers_at_another(wire: Wire) -> None:
    wire.ask("MoM").sends(with_length(GONE, NOT_FOUND))  # `a` does not know it, and only `b` does
    wire.upstream.sends(OK)
    wire.clock.advance(3.0)
    wire.b.accepts = False
    wire.client.sends(b"")
    wire.ask("MoM")
    wire.b.refuses()
    assert wire.upstream in wire.a.connections
    assert model_of(wire.upstream.written) == b'"llama2-7b"'
    wire.upstream.sends(OK)
    assert [tried["why"] for tried in wire.outcomes()[-1]["retried"]] == ["connect"]
    counted = wire.generations.metrics.render().decode()
    assert 'pointsman_upstream_errors_total{code="upstream_unreachable",endpoint="b"} 1.0' in counted
    assert wire.at_endpoints == 0


def test_where_the_base_is_nowhere_else_either_each_endpoint_is_tried_once(wire: Wire) -> None:
    wire.a.accepts = wire.b.accepts = False
    wire.client.sends(post("MoM"))
    wire.a.refuses()
    wire.b.refuses()
    assert wire.error == (502, "upstream_unreachable")
    assert (wire.a.waiting, wire.b.waiting) == ([], [])
    (outcome,) = wire.outcomes()
    assert [tried["endpoint"] for tried in outcome["retried"]] == ["a"]


def test_a_request_whose_model_was_not_read_gets_any_404_at_once(wire: Wire) -> None:
    """As one whose body is no JSON, so that no name in the answer is its own."""
    body = b'{"error": {"message": "The model `X` does not exist.", "code": 404}}'
    wire.client.sends(post().replace(b"application/json", b"application/x-ml"))
    wire.upstream.sends(with_length(body, NOT_FOUND))
    assert (wire.answer.status, wire.answer.body) == (404, body)
    assert wire.b.requests == 0
