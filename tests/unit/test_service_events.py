"""What systemd is told and when, and when a changed file is read: on a clock that the test moves."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pointsman.app.reload import Reloader
from pointsman.app.serve import _notify_systemd, _run_background
from pointsman.app.systemd import Systemd
from pointsman.config.model import AdapterOptions
from support.playbook import Wire, playing, with_length
from support.virtual_loop import VirtualLoop

MODELS = with_length(b'{"data": [{"id": "base"}]}')


class Manager:
    """Notes what systemd is told, and at which time."""

    def __init__(self, clock: VirtualLoop) -> None:
        self._clock, self._start = clock, clock.time()
        self.events: list[tuple[str, float]] = []
        for word in ("ready", "alive", "status"):
            setattr(self, word, self._note(word))

    def _note(self, word: str) -> Callable[..., None]:
        return lambda *_: self.events.append((word, self._clock.time() - self._start))

    def times(self, word: str) -> list[float]:
        return [time for event, time in self.events if event == word]


async def forever() -> None:
    await asyncio.Event().wait()


RELOADER: Any = SimpleNamespace(status=lambda: "well", run=forever, watch=forever)


# --- ready --------------------------------------------------------------------------------------------------------


@pytest.fixture
def polled() -> Iterator[Wire]:
    """A service that has just begun to ask its vLLMs what they serve."""
    with playing(adapters=AdapterOptions(poll_interval_ms=60_000)) as wire:
        yield wire


def lives(wire: Wire) -> Manager:
    manager = Manager(wire.clock)
    systemd: Any = SimpleNamespace(notify=manager, watchdog_s=None)
    wire.clock.do(_run_background, wire.generations, RELOADER, systemd)
    return manager


def test_it_is_ready_once_an_endpoint_has_said_what_it_serves(polled: Wire) -> None:
    manager = lives(polled)
    polled.clock.advance(0.25)
    assert manager.times("ready") == []
    polled.b.connects()
    polled.upstream.sends(MODELS)
    assert manager.times("ready") == [0.25]


def test_it_is_ready_after_five_seconds_without_one(polled: Wire) -> None:
    """vLLM may take minutes, and what starts after this service waits for it."""
    manager = lives(polled)
    polled.clock.advance(4.75)
    assert manager.times("ready") == []
    polled.clock.advance(0.25)
    assert manager.times("ready") == [5.0]


def test_an_answer_that_tells_nothing_is_waited_for_no_less(polled: Wire) -> None:
    manager = lives(polled)
    polled.b.connects()
    polled.upstream.sends(with_length(b"{}", "503 Service Unavailable"))
    assert manager.times("ready") == []


def test_where_nobody_is_asked_it_is_ready_at_once(wire: Wire) -> None:
    assert lives(wire).times("ready") == [0.0]


@pytest.mark.parametrize("turns", range(6))
def test_it_can_be_ended_together_with_the_first_answer(polled: Wire, turns: int) -> None:
    """A cancellation that was lost there kept the process from ending, which waits for this task."""

    async def ended() -> bool:
        systemd: Any = SimpleNamespace(notify=Manager(polled.clock), watchdog_s=None)
        task = polled.clock.create_task(_notify_systemd(polled.generations, RELOADER, systemd))
        await asyncio.sleep(1)
        polled.generations.current.poller.answered.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(1)
        return task.cancelled()

    found = polled.clock.do(polled.clock.create_task, ended())
    polled.clock.advance(2)
    assert found.result()


# --- the watchdog -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.5, 3.0, 15.0, 60.0, 600.0])
def test_the_watchdog_is_fed_at_least_twice_in_its_time(wire: Wire, seconds: float) -> None:
    """As sd_watchdog_enabled(3) asks for, so that one turn that is late does not end the service."""
    manager = Manager(wire.clock)
    systemd: Any = SimpleNamespace(notify=manager, watchdog_s=seconds)
    wire.clock.do(lambda: wire.clock.create_task(_notify_systemd(wire.generations, RELOADER, systemd)))
    wire.clock.advance(4 * seconds)
    fed = [*manager.times("alive"), 4 * seconds]
    assert fed[0] == 0.0
    assert max(later - earlier for earlier, later in itertools.pairwise(fed)) <= seconds / 2


def test_a_status_is_told_once_until_it_is_another(wire: Wire) -> None:
    manager = Manager(wire.clock)
    reloader: Any = SimpleNamespace(status=lambda: "well" if wire.clock.time() < 1008 else "worse")
    systemd: Any = SimpleNamespace(notify=manager, watchdog_s=3.0)
    wire.clock.do(lambda: wire.clock.create_task(_notify_systemd(wire.generations, reloader, systemd)))
    wire.clock.advance(20.0)
    assert manager.times("status") == pytest.approx([0.0, 8.0])


# --- the config file ----------------------------------------------------------------------------------------------


class Looks:
    """A file that looks so, second after second."""

    def __init__(self, *stamps: int | None) -> None:
        self._stamps = list(stamps)

    def news(self) -> int | None:
        return self._stamps.pop(0) if self._stamps else None


@pytest.mark.parametrize(
    ("looks", "read"),
    [
        pytest.param([None, None, None], [], id="nothing new"),
        pytest.param([None, 1, 1, None], [3.0], id="two looks agree"),
        pytest.param([1, 2, 3, 4, 4, None], [5.0], id="it is still written to"),
        pytest.param([1, None, 1, None, 1], [], id="it comes and goes"),
        pytest.param([1, 1, 2, 2], [2.0, 4.0], id="and changes again"),
    ],
)
def test_a_changed_file_is_read_once_two_looks_agree(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, looks: list[int | None], read: list[float]
) -> None:
    """One that changes still may be half written."""

    async def at_once(function: Callable[[], Any]) -> Any:
        return function()

    monkeypatch.setattr(asyncio, "to_thread", at_once)
    start, asked = wire.clock.time(), []
    source: Any = Looks(*looks)

    def ask(trigger: str) -> asyncio.Future[None]:
        asked.append((trigger, wire.clock.time() - start))
        done = wire.clock.create_future()
        done.set_result(None)
        return done

    def watch() -> None:
        reloader = Reloader(source, wire.prepared(), wire.generations, Systemd().notify)
        monkeypatch.setattr(reloader, "ask", ask)
        wire.clock.create_task(reloader.watch())

    wire.clock.do(watch)
    wire.clock.advance(10.0)
    assert asked == [("file", time) for time in read]
