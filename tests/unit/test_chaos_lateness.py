"""Chaos: a generation is late by what is certain and the daemon's."""

from __future__ import annotations

import pytest
from chaos.evidence import ClientRequest, Ticks, UpstreamRequest, body_of
from chaos.rules.lateness import lingering, outlived

LEFT = ClientRequest("a", "leaves", end="left", left=10.0)
STAYED = ClientRequest("a", "plain", status=200, body=body_of(b"x"))


def ran(ended: float | None, began: float = 1.0) -> UpstreamRequest:
    return UpstreamRequest("a", "good", began=began, ended=ended)


def ticks(*pairs: tuple[float, float]) -> Ticks:
    """Ticks as (time, seconds that the daemon waited for a core until then)."""
    made = Ticks()
    for at, waited in pairs:
        made.add(at, waited)
    return made


WAITS = ((9.0, 1.0), (10.0, 1.25), (10.5, 1.5), (10.75, 1.5), (11.0, 2.0))


@pytest.mark.parametrize(
    ("asked", "runs", "looks", "late"),
    [
        pytest.param(LEFT, [ran(10.5)], (), {"a": 0.5}, id="half a second after its client"),
        pytest.param(LEFT, [ran(9.0)], (), {}, id="before its client"),
        pytest.param(LEFT, [ran(None)], (), {}, id="it goes on"),
        pytest.param(STAYED, [ran(10.5)], (), {}, id="its client stayed"),
        pytest.param(LEFT, [ran(10.75), ran(10.25, began=2.0)], (), {"a": 0.75}, id="the longest run counts"),
        pytest.param(
            LEFT, [ran(12.0)], ((9.0, 0.0), (10.25, 0.0), (10.5, 0.0)), {"a": 0.25}, id="from the last look without it"
        ),
        pytest.param(LEFT, [ran(12.0)], ((9.0, 0.0), (9.5, 0.0), (12.5, 0.0)), {"a": 0.0}, id="no look in between"),
        pytest.param(LEFT, [ran(10.875)], WAITS, {"a": 0.0}, id="the daemon had no core"),
        pytest.param(LEFT, [ran(10.75)], WAITS, {"a": 0.0}, id="nor until then"),
    ],
)
def test_a_generation_ends_with_its_client(
    asked: ClientRequest,
    runs: list[UpstreamRequest],
    looks: tuple[tuple[float, float], ...],
    late: dict[str, float],
) -> None:
    assert outlived([asked], runs, ticks(*looks)) == late


def test_the_time_in_which_the_daemon_had_no_core_is_not_its_own() -> None:
    times = ((10.0, 10.75), (9.5, 10.75), (12.0, 13.0))
    assert [ticks(*WAITS).starved(begin, end) for begin, end in times] == [0.25, 0.5, 0.0]


def test_looks_that_found_nothing_do_not_excuse_the_daemon() -> None:
    every = ticks(*((10 + number / 64, 0.0) for number in range(129)))
    assert outlived([LEFT], [ran(11.0)], every)["a"] == pytest.approx(1.0, abs=2 / 64)


def test_few_generations_are_late_and_none_by_much() -> None:
    def late(*seconds: float) -> list[str | None]:
        return [fault.id for fault in lingering({f"chaos-{n}": one for n, one in enumerate(seconds)})]

    assert late(*[0.01] * 99, 0.5) == []
    assert late(*[0.01] * 99, 1.5) == ["chaos-99"]
    assert late(*[0.01] * 90, *[0.2] * 10) == [None]
    assert late() == []
