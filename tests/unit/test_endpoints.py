"""Which endpoint takes the next request."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from pointsman.config.model import Endpoint, RelayOptions
from pointsman.errors import OutOfFileDescriptors
from pointsman.upstream.breaker import CircuitBreaker
from pointsman.upstream.endpoint_state import EndpointState
from pointsman.upstream.load_balancer import LoadBalancer
from support.virtual_loop import VirtualLoop


def endpoint(name: str, weight: float = 1.0) -> Endpoint:
    return Endpoint(name=name, address="127.0.0.1", port=8000, weight=weight)


class World:
    """Endpoints, and a clock that stands still."""

    def __init__(self, weights: dict[str, float], **options: Any) -> None:
        self.candidates = tuple(endpoint(*item) for item in weights.items())
        self.reports: list[tuple[str, str, bool]] = []
        self.now = 100.0
        self.endpoints = LoadBalancer(
            self.candidates, RelayOptions(**options), lambda *reports: self.reports.append(reports)
        )

    def take(self, *tried: str) -> EndpointState:
        chosen = self.endpoints.choose(self.candidates, self.now, tried)
        assert chosen is not None
        chosen.in_flight += 1
        chosen.breaker.sent(self.now)
        return chosen

    def fail(self, name: str, times: int = 1) -> None:
        for _ in range(times):
            self.endpoints.failed(self.endpoints.all[name], "status 503", self.now)


WEIGHTS = [
    pytest.param({"a": 1, "b": 1}, id="even"),
    pytest.param({"a": 1, "b": 3}, id="uneven"),
    pytest.param({"a": 0.5, "b": 1, "c": 2.5}, id="fractions"),
    pytest.param({"a": 0, "b": 1}, id="none at all"),
]


@pytest.mark.parametrize("weights", WEIGHTS)
def test_one_request_after_another_is_shared_by_weight(weights: dict[str, float]) -> None:
    random.seed(1)
    world, taken = World(weights), Counter[str]()
    for _ in range(400):
        chosen = world.take()
        taken[chosen.name] += 1
        chosen.in_flight -= 1
    for name, weight in weights.items():
        assert taken[name] == pytest.approx(400 * weight / sum(weights.values()), abs=30)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_requests_side_by_side_are_shared_by_weight(weights: dict[str, float]) -> None:
    world = World(weights)
    for _ in range(40):
        world.take()
    for name, weight in weights.items():
        assert world.endpoints.all[name].in_flight == pytest.approx(40 * weight / sum(weights.values()), abs=1)


def test_a_busy_endpoint_is_passed_over() -> None:
    world = World({"a": 1, "b": 1})
    world.endpoints.all["a"].in_flight += 1
    for _ in range(10):
        chosen = world.take()
        chosen.in_flight -= 1
        assert chosen.name == "b"


def test_a_weight_of_nothing_serves_what_no_other_endpoint_can() -> None:
    assert World({"a": 0.0}).take().name == "a"
    assert World({"a": 0.0, "b": 1.0}).take("b").name == "a"


def test_an_endpoint_that_was_tried_is_not_tried_again() -> None:
    world = World({"a": 1, "b": 1})
    assert [world.take("a").name for _ in range(3)] == ["b", "b", "b"]
    assert world.endpoints.choose(world.candidates, world.now, ("a", "b")) is None


def test_an_endpoint_that_is_down_gets_nothing_until_it_is_up_again() -> None:
    world = World({"a": 1, "b": 1})
    world.endpoints.unreachable(world.endpoints.all["a"], "gone")
    assert {world.take().name for _ in range(5)} == {"b"}
    world.endpoints.reached(world.endpoints.all["a"])
    assert world.take().name == "a"
    assert world.reports == [("a", "down: gone", False), ("a", "up", True)]


def test_an_endpoint_that_refuses_the_key_gets_nothing_until_it_accepts_it() -> None:
    world = World({"a": 1, "b": 1})
    world.endpoints.key_refused(world.endpoints.all["a"])
    assert {world.take().name for _ in range(5)} == {"b"}
    world.endpoints.key_accepted(world.endpoints.all["a"])
    assert world.take().name == "a"
    assert [good for _, _, good in world.reports] == [False, True]


def test_two_failed_probes_in_a_row_take_an_endpoint_away_and_one_that_succeeds_brings_it_back(
    clock: VirtualLoop,
) -> None:
    """A busy vLLM may miss one."""
    world = World({"a": 1})
    answers = ["status 503", None, "status 503", "status 503", "status 503", None]
    asked: list[float] = []

    async def ask(_: EndpointState) -> str | None:
        asked.append(clock.time())
        return answers[len(asked) - 1]

    start = clock.time()
    clock.do(lambda: clock.create_task(world.endpoints.probe(world.endpoints.all["a"], ask, 5.0)))
    seen = []
    for _ in answers:
        seen.append(world.endpoints.all["a"].reachable)
        clock.advance(5.0) if len(seen) < len(answers) else None
    assert seen == [True, True, True, False, False, True]
    assert asked == [start + 5.0 * turn for turn in range(6)]
    assert world.reports == [("a", "down: status 503", False), ("a", "up", True)]


def test_where_all_are_down_all_are_tried() -> None:
    world = World({"a": 1, "b": 1})
    for upstream in world.endpoints.all.values():
        world.endpoints.unreachable(upstream, "gone")
    assert {world.take().name, world.take().name} == {"a", "b"}


def test_an_endpoint_that_is_taken_over_is_as_it_was_and_keeps_to_the_new_options() -> None:
    world = World({"a": 1, "b": 1}, breaker_failures=3, breaker_open_ms=2000)
    world.fail("a", 2)
    upstream = world.endpoints.all["a"]
    assert upstream.breaker.open_seconds == 2.0
    options = RelayOptions(breaker_failures=1, breaker_open_ms=1, connect_timeout_ms=7)
    after = LoadBalancer([endpoint("a", 9.0)], options, lambda *_: None, world.endpoints.all)
    assert after.all == {"a": upstream}
    after.failed(upstream, "status 503", world.now)
    assert upstream.breaker.opened
    assert upstream.breaker.passes(world.now + 0.002)
    assert (upstream.pool.connect_timeout, upstream.breaker.open_seconds) == (0.007, 0.001)


def test_failures_in_a_row_send_the_requests_elsewhere() -> None:
    world = World({"a": 1, "b": 1}, breaker_failures=3)
    world.fail("a", 2)
    world.endpoints.succeeded(world.endpoints.all["a"])
    world.fail("a", 2)
    assert {world.take().name for _ in range(2)} == {"a", "b"}
    world.fail("a")
    assert {world.take().name for _ in range(10)} == {"b"}
    assert world.reports == [("a", "fails: status 503", False)]


def test_an_open_breaker_lets_one_request_through_at_a_time() -> None:
    breaker = CircuitBreaker(2, 5.0)
    breaker.failed(0.0)
    breaker.failed(0.0)
    assert (breaker.passes(4.9), breaker.passes(5.0)) == (False, True)
    breaker.sent(5.0)
    assert (breaker.passes(5.1), breaker.passes(10.0)) == (False, True)


def test_one_success_closes_a_breaker_and_one_failure_keeps_it_open() -> None:
    breaker = CircuitBreaker(2, 5.0)
    breaker.failed(0.0)
    breaker.failed(0.0)
    breaker.sent(5.0)
    breaker.failed(6.0)
    assert (breaker.passes(10.9), breaker.passes(11.0)) == (False, True)
    breaker.succeeded()
    assert (breaker.opened, breaker.passes(0.0)) == (False, True)


def test_what_one_client_sees_opens_no_breaker_until_another_or_a_probe_sees_it_too() -> None:
    for witness in ("another", "a probe", "a connection that fails"):
        breaker = CircuitBreaker(3, 5.0)
        for _ in range(100):
            breaker.failed(0.0, "one")
        assert breaker.in_doubt
        assert not breaker.opened
        breaker.confirmed(0.0) if witness == "a probe" else breaker.failed(0.0, "two" if witness == "another" else None)
        assert breaker.opened, witness
        assert not breaker.in_doubt


def test_a_success_ends_what_was_seen_until_then() -> None:
    breaker = CircuitBreaker(2, 5.0)
    breaker.failed(0.0, "one")
    breaker.succeeded()
    for _ in range(5):
        breaker.failed(0.0, "two")
    assert not breaker.opened


def test_a_probe_that_fails_alone_opens_nothing() -> None:
    """Nor does it speak for what one client sees later."""
    breaker = CircuitBreaker(2, 5.0)
    breaker.failed(0.0, "one")
    breaker.confirmed(0.0)
    breaker.failed(0.0, "one")
    assert not breaker.opened


def test_an_open_breaker_stays_open_whoever_fails() -> None:
    breaker = CircuitBreaker(2, 5.0)
    breaker.failed(0.0, "one")
    breaker.failed(0.0, "two")
    breaker.failed(5.0, "one")
    assert not breaker.passes(9.9)


def test_a_breaker_without_a_number_never_opens() -> None:
    breaker = CircuitBreaker(0, 5.0)
    for _ in range(100):
        breaker.failed(0.0)
    assert breaker.passes(0.0)


def test_where_no_health_is_asked_a_lost_connection_shuts_no_endpoint_out_for_good() -> None:
    """Nobody would find out that it is back."""
    world = World({"a": 1, "b": 1}, health_interval_ms=0)
    world.endpoints.unreachable(world.endpoints.all["a"], "no connection")
    assert world.endpoints.all["a"].healthy(world.now)


def test_it_is_told_when_an_endpoint_goes_down_and_when_it_is_back() -> None:
    world = World({"a": 1}, breaker_failures=1)
    turns: list[tuple[str, bool]] = []
    world.endpoints.on_health_change = lambda *turn: turns.append(turn)
    upstream = world.endpoints.all["a"]
    for _ in range(2):
        world.endpoints.unreachable(upstream, "no connection")
    for _ in range(2):
        world.endpoints.reached(upstream)
    assert turns == [("a", False), ("a", True)]
    world.fail("a")
    world.endpoints.succeeded(upstream)
    assert turns[2:] == [("a", True)]
    assert world.reports[2:] == [("a", "fails: status 503", False), ("a", "answers again", True)]


def test_an_endpoint_that_goes_on_failing_is_told_of_once() -> None:
    world = World({"a": 1}, breaker_failures=2)
    world.fail("a", 5)
    assert world.reports == [("a", "fails: status 503", False)]


def test_the_first_probe_alone_shuts_no_endpoint_out(clock: VirtualLoop) -> None:
    world = World({"a": 1})

    async def ask(_: EndpointState) -> str:
        return "still starting"

    clock.do(lambda: clock.create_task(world.endpoints.probe(world.endpoints.all["a"], ask, 10.0)))
    assert world.endpoints.all["a"].reachable
    clock.advance(10.0)
    assert not world.endpoints.all["a"].reachable


def test_a_doubted_endpoint_is_probed_at_once_and_at_most_ten_times_a_second(clock: VirtualLoop) -> None:
    world = World({"a": 1}, breaker_failures=1)
    upstream = world.endpoints.all["a"]
    asked: list[float] = []

    async def ask(_: EndpointState) -> str | None:
        asked.append(clock.time())
        return "status 503" if len(asked) == 5 else None

    start = clock.time()
    clock.do(lambda: clock.create_task(world.endpoints.probe(upstream, ask, 60.0)))
    clock.advance(5.0)
    for _ in range(40):
        clock.do(world.endpoints.failed, upstream, "status 502", clock.time(), "one")
        clock.advance(0.01)
    assert [time - start for time in asked] == pytest.approx([0.0, 5.0, 5.1, 5.2, 5.3])
    assert upstream.breaker.opened
    assert (upstream.reachable, world.reports) == (True, [("a", "fails: status 503", False)])


def test_a_probe_for_which_no_file_is_left_tells_nothing(clock: VirtualLoop) -> None:
    """Neither that the endpoint is down nor that it is up again."""
    world = World({"a": 1})
    answers = iter(
        [
            OutOfFileDescriptors("none"),
            OutOfFileDescriptors("none"),
            "gone",
            OutOfFileDescriptors("none"),
            "gone",
            OutOfFileDescriptors("none"),
            None,
        ]
    )

    async def ask(_: EndpointState) -> str | None:
        answer = next(answers)
        if isinstance(answer, OutOfFileDescriptors):
            raise answer
        return answer

    clock.do(lambda: asyncio.ensure_future(world.endpoints.probe(world.endpoints.all["a"], ask, 1.0), loop=clock))
    found = []
    for _ in range(7):
        found.append(world.endpoints.all["a"].reachable)
        clock.advance(1.0)
        if len(found) == 6:
            break
    assert found == [True, True, True, True, False, False]
