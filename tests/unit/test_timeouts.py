"""The time limits of answers, to the quarter of a second: what rings, when, and what does not."""

from __future__ import annotations

from math import inf
from typing import Any, cast

import pytest

from pointsman.config.model import RelayOptions
from pointsman.proxy.timeouts import Timeouts
from support.playbook import LAST, OK, STREAM, Wire, chunk, event, playing, post, with_length
from support.virtual_loop import VirtualLoop

TICK = 0.25
"""How often the wire's limits are looked at."""


class Answer:
    """Notes when it was checked, and against what."""

    def __init__(self, clock: VirtualLoop) -> None:
        self._start = clock.time()
        self.checked: list[float] = []
        self.limits: tuple[float, ...] = ()

    def check(self, now: float, *limits: float) -> None:
        self.checked.append(round(now - self._start, 6))
        self.limits = limits


def watching(clock: VirtualLoop, **options: int) -> Timeouts:
    def start() -> Timeouts:
        timeouts = Timeouts(RelayOptions(**cast("Any", options)), lambda _: None)
        clock.create_task(timeouts.run())
        return timeouts

    return clock.do(start)


# --- the timer --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit_ms", "ticks"),
    [
        pytest.param(800, [0.1, 0.2, 0.3], id="an eighth of the limit"),
        pytest.param(40, [0.01, 0.02, 0.03], id="no finer than a hundredth of a second"),
        pytest.param(600_000, [0.25, 0.5, 0.75], id="no coarser than a quarter"),
    ],
)
def test_a_limit_is_kept_to_within_an_eighth_of_itself(clock: VirtualLoop, limit_ms: int, ticks: list[float]) -> None:
    answer = Answer(clock)
    timeouts = watching(clock, idle_timeout_ms=limit_ms)
    timeouts.add(answer)
    clock.advance(ticks[-1] + ticks[0] / 2)
    assert answer.checked == pytest.approx(ticks)


def test_the_smallest_limit_decides_how_often(clock: VirtualLoop) -> None:
    answer = Answer(clock)
    watching(clock, first_byte_timeout_ms=400, idle_timeout_ms=8_000, total_timeout_ms=80_000).add(answer)
    clock.advance(0.12)
    assert answer.checked == pytest.approx([0.05, 0.1])


def test_a_limit_of_nothing_is_none(clock: VirtualLoop) -> None:
    answer = Answer(clock)
    watching(clock, first_byte_timeout_ms=0, idle_timeout_ms=7_000, total_timeout_ms=0).add(answer)
    clock.advance(TICK)
    assert answer.limits == (inf, 7.0, inf)


def test_what_was_discarded_is_left_alone(clock: VirtualLoop) -> None:
    answer = Answer(clock)
    timeouts = watching(clock)
    timeouts.add(answer)
    clock.advance(TICK)
    timeouts.discard(answer)
    clock.advance(5 * TICK)
    assert answer.checked == [TICK]


def test_an_answer_that_ends_others_while_it_is_checked_disturbs_nothing(clock: VirtualLoop) -> None:
    timeouts = watching(clock)

    class Ending(Answer):
        def check(self, *_: Any) -> None:
            timeouts.discard(self)

    for _ in range(10):
        timeouts.add(Ending(clock))
    clock.advance(TICK)
    assert not timeouts._answers


# --- of a request -------------------------------------------------------------------------------------------------


def test_no_byte_within_the_limit_is_a_504_and_ends_the_request_to_vllm(wire: Wire) -> None:
    upstream = wire.ask()
    wire.clock.advance(4.0)
    assert wire.client.taken == b""
    wire.clock.advance(TICK)
    assert wire.error == (504, "upstream_timeout")
    assert upstream.aborted
    assert wire.b.requests == 0, "it may have started"


def test_a_body_that_vllm_does_not_take_in_time_is_a_504(wire: Wire) -> None:
    wire.ask().sends(OK)
    wire.upstream.pauses()
    upstream = wire.ask()
    wire.clock.advance(4.0 + TICK)
    assert wire.error == (504, "upstream_timeout")
    assert upstream.aborted
    assert wire.pooled == []


def test_half_a_head_is_no_answer_yet(wire: Wire) -> None:
    upstream = wire.ask()
    for byte in STREAM[:8]:
        upstream.sends(bytes([byte]))
        wire.clock.advance(0.5)
    wire.clock.advance(TICK)
    assert wire.error == (504, "upstream_timeout")


def test_the_time_to_connect_is_not_that_of_the_answer() -> None:
    with playing(connect_timeout_ms=60_000) as wire:
        wire.a.accepts = False
        wire.client.sends(post())
        wire.clock.advance(30.0)
        wire.a.connects()
        wire.clock.advance(4.0)
        assert wire.client.taken == b""
        wire.clock.advance(TICK)
        assert wire.error == (504, "upstream_timeout")


def test_a_stream_that_falls_silent_is_cut_with_an_error_event(wire: Wire) -> None:
    upstream = wire.ask()
    upstream.sends(STREAM + event("one"))
    wire.clock.advance(2.0)
    assert wire.in_flight["metrics"] == 1
    wire.clock.advance(TICK)
    assert b"stopped sending" in wire.answer.body
    assert not wire.answer.whole
    assert upstream.aborted


def test_each_part_of_a_stream_begins_the_silence_anew(wire: Wire) -> None:
    upstream = wire.ask()
    upstream.sends(STREAM)
    for _ in range(10):
        upstream.sends(event("one"))
        wire.clock.advance(1.9)
    upstream.sends(LAST)
    assert wire.answer.whole


@pytest.mark.parametrize(
    "comment",
    [b": alive\n\n", b":\n", b"\n", b": a\n: b\n", b": alive\r\n\r\n", b": dead beef data " * 20 + b"\n\n"],
    ids=["one", "empty", "a blank line", "two at once", "CRLF", "long"],
)
def test_comments_are_passed_on_and_are_no_progress(wire: Wire, comment: bytes) -> None:
    """vLLM's front end sends them for minutes after its engine died."""
    upstream = wire.ask()
    upstream.sends(STREAM + event("one"))
    for _ in range(4):
        wire.clock.advance(0.5)
        upstream.sends(chunk(comment))
    assert wire.answer.body.endswith(4 * comment)
    wire.clock.advance(TICK)
    assert b"stopped sending" in wire.answer.body


def test_a_comment_that_comes_in_pieces_is_no_progress_either(wire: Wire) -> None:
    upstream = wire.ask()
    upstream.sends(STREAM + event("one"))
    for byte in chunk(b": data\n\n"):
        upstream.sends(bytes([byte]))
        wire.clock.advance(TICK)
    assert b"stopped sending" in wire.answer.body


def test_the_rest_of_an_event_that_came_in_pieces_is_progress(wire: Wire) -> None:
    upstream = wire.ask()
    upstream.sends(STREAM)
    for byte in chunk(b'data: {"a": 1}\n\n'):  # of which the size and `da` could be those of a comment's chunk
        upstream.sends(bytes([byte]))
        wire.clock.advance(0.3)
    assert wire.in_flight["metrics"] == 1


def test_any_byte_of_an_answer_in_one_piece_is_progress(wire: Wire) -> None:
    upstream = wire.ask()
    upstream.sends(with_length(b"", length=9))
    for _ in range(8):
        wire.clock.advance(1.9)
        upstream.sends(b"\n")
    assert wire.in_flight["metrics"] == 1
    wire.clock.advance(2.0 + TICK)
    assert (wire.in_flight["metrics"], wire.answer.whole) == (0, False)


def test_the_time_that_a_client_takes_to_read_is_not_vllms(wire: Wire) -> None:
    """Nor is what it took counted once it reads on: vLLM has its whole time from then."""
    upstream = wire.ask()
    upstream.sends(STREAM)
    wire.client.pauses()
    upstream.sends(event("one"))
    wire.clock.advance(59.0)
    wire.client.reads_on()
    wire.clock.advance(2.0)
    assert wire.in_flight["metrics"] == 1
    wire.clock.advance(TICK)
    assert b"stopped sending" in wire.answer.body


def test_the_total_counts_whatever_happens() -> None:
    with playing(total_timeout_ms=6_000) as wire:
        upstream = wire.ask()
        upstream.sends(STREAM)
        for _ in range(6):
            upstream.sends(event("one"))
            wire.clock.advance(1.0)
        assert wire.in_flight["metrics"] == 1
        wire.clock.advance(TICK)
        assert b"did not finish" in wire.answer.body


def test_the_total_ends_an_answer_that_nobody_reads() -> None:
    with playing(total_timeout_ms=6_000) as wire:
        upstream = wire.ask()
        wire.client.pauses()
        upstream.sends(STREAM + event("one"))
        wire.clock.advance(6.0)
        assert wire.in_flight["metrics"] == 1
        wire.clock.advance(TICK)
        assert wire.in_flight["metrics"] == 0
        assert upstream.aborted


def test_a_reload_changes_no_limit_of_an_answer_that_has_begun(wire: Wire) -> None:
    upstream = wire.ask()
    wire.reload(threshold=0.5)
    wire.clock.advance(4.0 + TICK)
    assert wire.error == (504, "upstream_timeout")
    assert upstream.aborted


def test_a_second_try_has_all_of_the_time(wire: Wire) -> None:
    wire.ask().sends(OK)
    reused = wire.ask()
    wire.clock.advance(0.9)
    reused.ends()
    assert wire.upstream is not reused
    wire.clock.advance(4.0)
    assert wire.in_flight["metrics"] == 1
    wire.clock.advance(TICK)
    assert wire.error == (504, "upstream_timeout")
