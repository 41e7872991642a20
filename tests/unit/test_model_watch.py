"""What the service makes of answers: which of them count against a model, and where an operator sees it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from pointsman.app import gauges
from support.playbook import LAST, OK, STREAM, Wire, chunk, event, post, with_length

ERROR = with_length(b'{"error": {"message": "boom"}}', "500 Internal Server Error")
FULL = with_length(b'{"error": {"message": "try on a different instance."}}', "503 Service Unavailable")
ADAPTER = "technical-lora"


@pytest.fixture
def watched(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Wire:
    """The service, by the clock of the test, with the task that judges models."""
    monkeypatch.setattr(time, "perf_counter", wire.clock.time)
    generations = wire.generations
    monkeypatch.setattr(generations.models, "_clock", wire.clock.time)
    wire.clock.do(lambda: generations.supervisor.start("models", generations.models.run))
    return wire


def lines(wire: Wire, event: str) -> list[dict[str, Any]]:
    found = map(json.loads, wire.log.getvalue().splitlines())
    return [line for line in found if line["event"] == event]


def answers(wire: Wire, *parts: bytes, model: str = ADAPTER, after: float = 0.0, times: int = 1) -> None:
    for _ in range(times):
        upstream = wire.ask(model)
        wire.clock.advance(after)
        for part in parts:
            upstream.sends(part)


def leaves(wire: Wire) -> None:
    """The client leaves; another comes."""
    wire.client.resets()
    wire.client = wire.connect()


def counted(wire: Wire) -> list[tuple[bool, float | None, bool]]:
    """The requests of the adapter that count: whether each failed, its first byte, and whether it is a stream."""
    wire.generations.metrics.settle()
    found = wire.generations.models._windows.recent(wire.clock.time()).get(ADAPTER, [])
    return [(one.failed, one.seconds, one.streams) for one in found]


def test_an_adapter_whose_every_answer_is_a_500_is_a_warning_within_a_minute_and_in_metrics_and_status(
    watched: Wire,
) -> None:
    gauges.watch_models(watched.generations.metrics, watched.generations.models, lambda: ["a", "b"])
    answers(watched, OK, model="llama2-7b", times=20)
    answers(watched, ERROR, times=20)
    watched.clock.advance(60.0)
    (line,) = lines(watched, "models")
    assert line["level"] == "warning"
    assert (line["model"], line["state"]) == (ADAPTER, "failing")
    metrics = watched.generations.metrics.render().decode()
    assert f'pointsman_model_failing{{model="{ADAPTER}"}} 1.0' in metrics
    assert 'pointsman_model_failing{model="legal-lora"} 0.0' in metrics
    assert f'pointsman_model_slow{{model="{ADAPTER}"}} 0.0' in metrics
    assert 'pointsman_endpoint_models_failing{endpoint="a"} 0.0' in metrics
    (finding,) = watched.generations.models.report()
    assert (finding["kind"], finding["name"], finding["state"], finding["why"]) == (
        "model",
        ADAPTER,
        "failing",
        line["message"],
    )
    assert 55 <= finding["for_s"] <= 60


def test_an_adapter_whose_first_byte_takes_three_seconds_is_a_warning_too(watched: Wire) -> None:
    answers(watched, STREAM, event("a"), LAST, model="llama2-7b", times=20, after=0.2)
    answers(watched, STREAM, event("a"), LAST, times=20, after=3.0)
    watched.clock.advance(60.0)
    (line,) = lines(watched, "models")
    assert (line["level"], line["model"], line["state"]) == ("warning", ADAPTER, "slow")


def test_after_a_reload_what_was_the_matter_still_is(watched: Wire) -> None:
    answers(watched, ERROR, times=20)
    watched.clock.advance(5.0)
    watched.reload(threshold=0.5)
    watched.clock.advance(5.0)
    assert [line["state"] for line in lines(watched, "models")] == ["failing"]


@pytest.mark.parametrize(
    ("parts", "failed"),
    [
        pytest.param([ERROR], [True], id="500"),
        pytest.param([with_length(b"{}", "502 Bad Gateway")], [True], id="502"),
        pytest.param([with_length(b"{}", "503 Service Unavailable")], [True], id="503"),
        pytest.param([STREAM, chunk(b'data: {"error": {}}\n\n'), LAST], [True], id="an error in a stream"),
        pytest.param([OK], [False], id="an answer"),
        pytest.param([with_length(b"{}", "400 Bad Request")], [], id="the client's fault"),
        pytest.param([with_length(b"{}", "401 Unauthorized")], [], id="the key's"),
        pytest.param([with_length(b"{}", "501 Not Implemented")], [], id="what vLLM does not do"),
    ],
)
def test_only_what_vllm_or_the_model_is_to_blame_for_counts(
    watched: Wire, parts: list[bytes], failed: list[bool]
) -> None:
    answers(watched, *parts)
    assert [one for one, _, _ in counted(watched)] == failed


def test_a_full_queue_is_no_fault_of_the_model(watched: Wire) -> None:
    watched.ask(ADAPTER).sends(FULL)
    watched.upstream.sends(FULL)
    assert watched.answer.status == 503
    assert counted(watched) == []


def test_a_connection_that_breaks_and_an_answer_that_does_not_come_count(watched: Wire) -> None:
    upstream = watched.ask(ADAPTER)
    upstream.sends(STREAM + event("a"))
    upstream.resets()
    watched.client = watched.connect()
    watched.ask(ADAPTER)
    watched.clock.advance(4.5)
    assert [one for one, _, _ in counted(watched)] == [True, True]


def test_an_endpoint_that_is_down_or_has_lost_an_adapter_is_a_warning_that_names_it(watched: Wire) -> None:
    balancer, poller = watched.generations.current.balancer, watched.generations.current.poller
    watched.clock.do(lambda: poller._report("a", "no longer serves legal-lora", False))
    balancer._probed = True
    balancer.unreachable(balancer.all["a"], "refused")
    balancer.reached(balancer.all["a"])
    assert [(line["level"], line["endpoint"], line["state"]) for line in lines(watched, "endpoint")] == [
        ("warning", "a", "no longer serves legal-lora"),
        ("warning", "a", "down: refused"),
        ("info", "a", "up"),
    ]


def test_an_adapter_that_hangs_until_its_clients_leave_is_a_warning(watched: Wire) -> None:
    """Whether vLLM has sent the head of a stream or nothing, and however long a timeout is."""
    watched.relay(first_byte_timeout_ms=0, idle_timeout_ms=0)
    answers(watched, STREAM, event("a") + LAST, model="base", after=0.2, times=20)
    for number in range(20):
        answers(watched, *[STREAM] * (number % 2), after=10.0)
        leaves(watched)
    watched.clock.advance(5.0)
    (line,) = lines(watched, "models")
    assert (line["level"], line["model"], line["state"]) == ("warning", ADAPTER, "slow")


@pytest.mark.parametrize(
    ("parts", "streams"),
    [
        pytest.param([], [False], id="nobody knows whether it is a stream"),
        pytest.param([STREAM], [True], id="in a stream that has sent nothing"),
        pytest.param([STREAM + event("a")], [], id="in the middle of a stream"),
        pytest.param([with_length(b"{", length=2)], [], id="in the middle of an answer"),
    ],
)
def test_how_long_a_client_has_waited_counts_if_it_leaves_before_the_first_byte(
    watched: Wire, parts: list[bytes], streams: list[bool]
) -> None:
    answers(watched, *parts)
    watched.clock.advance(1.5)
    leaves(watched)
    assert counted(watched) == []
    found = watched.generations.models._windows.left().get(ADAPTER, [])
    assert [one.streams for one in found] == streams
    assert [one.seconds for one in found] == pytest.approx([1.5] * len(streams))


def test_the_first_byte_counts_from_when_the_request_was_sent(watched: Wire) -> None:
    """However slowly the client sends: that is no fault of the model."""
    head, _, body = post(ADAPTER).partition(b"\r\n\r\n")
    watched.client.sends(head + b"\r\n\r\n" + body[:9])
    watched.clock.advance(2.0)
    watched.client.sends(body[9:])
    watched.clock.advance(0.5)
    watched.upstream.sends(STREAM)
    watched.clock.advance(0.5)
    watched.upstream.sends(event("a") + LAST)
    ((failed, seconds, streams),) = counted(watched)
    assert (failed, streams) == (False, True)
    assert seconds == pytest.approx(1.0)


def test_the_requests_that_were_in_flight_at_the_endpoint_are_known(watched: Wire) -> None:
    upstreams = []
    for _ in range(3):
        watched.client = watched.connect()
        upstreams.append(watched.ask(ADAPTER))
    for upstream in upstreams:
        upstream.sends(OK)
    watched.generations.metrics.settle()
    found = watched.generations.models._windows.recent(watched.clock.time())[ADAPTER]
    assert [one.in_flight for one in found] == [1, 2, 3]


def test_the_first_byte_of_a_stream_is_that_of_its_first_event(watched: Wire) -> None:
    """vLLM sends the head at once, and comments that keep the connection alive."""
    answers(watched, STREAM, chunk(b": alive\n\n"))
    watched.clock.advance(1.0)
    watched.upstream.sends(chunk(b": alive\n\n"))
    watched.clock.advance(0.5)
    watched.upstream.sends(event("a"))
    watched.clock.advance(0.5)
    watched.upstream.sends(event("b") + LAST)
    ((failed, seconds, streams),) = counted(watched)
    assert (failed, streams) == (False, True)
    assert seconds == pytest.approx(1.5)
    metrics = watched.generations.metrics.render().decode()
    assert "pointsman_chunk_gap_seconds_count 1.0" in metrics, "from the first event to the second"
    assert "pointsman_chunk_gap_seconds_sum 0.5" in metrics


def test_the_events_of_v1_responses_that_come_before_the_answer_are_not_its_first_byte(watched: Wire) -> None:
    """vLLM sends two at once, with the client's own words in them."""
    before = [
        chunk(b'event: response.%b\ndata: {"instructions": "event: response.x"}\n\n' % name)
        for name in (b"created", b"in_progress")
    ]
    upstream = watched.ask(ADAPTER, "/v1/responses")
    upstream.sends(STREAM + before[0])
    upstream.sends(before[1])
    watched.clock.advance(1.5)
    upstream.sends(chunk(b'event: response.output_item.added\ndata: {"sequence_number": 2}\n\n'))
    watched.clock.advance(0.5)
    upstream.sends(chunk(b"event: response.output_text.delta\ndata: {}\n\n") + LAST)
    ((failed, seconds, streams),) = counted(watched)
    assert (failed, streams) == (False, True)
    assert seconds == pytest.approx(1.5)
    assert "pointsman_chunk_gap_seconds_sum 0.5" in watched.generations.metrics.render().decode()
