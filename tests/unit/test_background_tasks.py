"""Each background task of the service is killed for real: it is logged, counted and restarted, and `/ready` knows."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pointsman import daemon_thread
from pointsman.api.health import readiness
from pointsman.app.generations import Generations
from pointsman.app.overlay import OverlayStore
from pointsman.app.prepare import PreparedConfig
from pointsman.app.reload import Reloader
from pointsman.app.serve import _run_background, running
from pointsman.app.source import ConfigSource
from pointsman.config.model import AdapterOptions, RelayOptions
from pointsman.errors import CannotStart, UpstreamUnreachable
from pointsman.observability.log import Log
from pointsman.upstream import client
from support.log import Memory
from support.playbook import CLASSIFIER, ENDPOINTS
from support.toy_config import QUIET, config
from support.virtual_loop import VirtualLoop

MODELS = b'{"data": [{"id": "base"}]}'
PREPARED = PreparedConfig(
    replace(
        config(endpoints=ENDPOINTS),
        pointsman=replace(
            QUIET, adapters=AdapterOptions(poll_interval_ms=1000), relay=RelayOptions(health_interval_ms=1000)
        ),
    ),
    CLASSIFIER,
    b"",
    (),
)


class Faulty(ConfigSource):
    """A file that cannot be read."""

    def prepare(self, previous: PreparedConfig | None = None) -> PreparedConfig:
        raise CannotStart("nothing there")


class Vllm:
    """What both endpoints do."""

    up = True


@dataclass(frozen=True, slots=True)
class World:
    """The service without its ports."""

    clock: VirtualLoop
    log: Memory
    generations: Generations
    reloader: Reloader
    vllm: Vllm

    def failures(self, task: str) -> list[dict[str, Any]]:
        lines = map(json.loads, self.log.getvalue().splitlines())
        return [line for line in lines if (line["event"], line.get("task")) == ("task_failed", task)]

    def counted(self, task: str) -> float | None:
        return self.generations.metrics.registry.get_sample_value("pointsman_task_failures_total", {"task": task})

    @property
    def ready(self) -> bool:
        return readiness(self.generations.trouble, lambda: False)() is None

    def reachable(self) -> list[bool]:
        return [state.reachable for state in self.generations.current.balancer.all.values()]


@pytest.fixture
def world(clock: VirtualLoop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    async def at_once(function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    def start(work: Callable[[], Any], _: str) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001
            future.set_exception(error)
        return future

    async def ask(_: Any, path: str, *__: Any) -> tuple[int, bytes]:
        if not vllm.up:
            raise UpstreamUnreachable("gone")
        return 200, MODELS if path == "/v1/models" else b""

    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(asyncio, "to_thread", at_once)
    monkeypatch.setattr(daemon_thread, "start", start)
    monkeypatch.setattr(client, "ask", ask)
    log, vllm = Memory(), Vllm()
    service = running(PREPARED, Log("info", log))
    generations = clock.run_until_complete(service.__aenter__())
    notify: Any = SimpleNamespace(**dict.fromkeys(("ready", "reloading", "status", "alive"), lambda *_: None))
    systemd: Any = SimpleNamespace(notify=notify, watchdog_s=None)
    reloader = clock.do(lambda: Reloader(Faulty(Path("nowhere")), PREPARED, generations, notify))
    made = World(clock, log, generations, reloader, vllm)
    clock.do(_run_background, generations, reloader, systemd)
    overlay = clock.do(lambda: OverlayStore(None, generations))
    clock.do(lambda: generations.supervisor.start("mode", overlay.watch))
    clock.advance(1.0)
    assert made.ready
    yield made
    clock.run_until_complete(service.__aexit__(None, None, None))


TASKS = [
    pytest.param("timeouts", "pointsman.proxy.timeouts:Timeouts.check", True, id="timeouts"),
    pytest.param("prober", "pointsman.upstream.load_balancer:LoadBalancer.reached", True, id="prober"),
    pytest.param("poller", "pointsman.adapters.poller:parse_models", True, id="poller"),
    pytest.param("reloader", "pointsman.app.reload:Reloader._report", False, id="reloader"),
    pytest.param("watcher", "pointsman.app.source:ConfigSource.news", False, id="watcher"),
    pytest.param("systemd", "pointsman.app.reload:Reloader.status", False, id="systemd"),
    pytest.param("mode", "pointsman.app.overlay:OverlayStore._look", False, id="mode"),
    pytest.param("loop_lag", "pointsman.observability.loop_lag:max", False, id="loop_lag"),
    pytest.param("recent", "pointsman.observability.recent:RecentCounts.take", False, id="recent"),
    pytest.param("traffic", "pointsman.observability.traffic:Traffic.take", False, id="traffic"),
    pytest.param("stored_responses", "pointsman.store.rows_file:RowsFile.replace", False, id="stored_responses"),
]


@pytest.mark.parametrize(("task", "target", "needed"), TASKS)
def test_a_task_that_is_killed_is_logged_counted_and_restarted_and_ready_falls_where_requests_need_it(
    world: World, monkeypatch: pytest.MonkeyPatch, task: str, target: str, needed: bool
) -> None:
    module, _, path = target.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    original = getattr(owner, name, max)
    calls: list[bool] = []
    broken = True

    def work(*arguments: Any) -> Any:
        calls.append(broken)
        if broken:
            raise ZeroDivisionError("for this test")
        return original(*arguments)

    monkeypatch.setattr(owner, name, work, raising=False)
    for _ in range(40):
        world.reloader.ask("SIGHUP")
        world.clock.do(world.generations.stored.add, "resp_1", "", "a")
        world.clock.advance(2.5)

    failures = world.failures(task)
    assert len(failures) >= 3
    assert {line["level"] for line in failures} == {"error"}
    assert all("ZeroDivisionError: for this test" in line["traceback"] for line in failures)
    assert world.counted(task) == len(failures)
    assert world.ready is not needed

    broken = False
    for _ in range(40):
        world.reloader.ask("SIGHUP")
        world.clock.advance(1.0)

    assert calls[-1] is False
    assert len(world.failures(task)) == len(failures)
    assert world.ready


def test_one_failure_takes_no_host_out_of_service(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """All hosts may have it at the same time, and the task is back in a moment."""
    check, failing = world.generations.current.timeouts.check, [ZeroDivisionError()]

    def once() -> None:
        if failing:
            raise failing.pop()
        check()

    monkeypatch.setattr(world.generations.current.timeouts, "check", once)
    for _ in range(50):
        world.clock.advance(0.05)
        assert world.ready
    assert world.counted("timeouts") == 1


def test_an_endpoint_that_restarts_while_its_prober_fails_comes_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        world.vllm.up = False
        world.clock.advance(3.0)
        assert world.reachable() == [False, False]
        patched.setattr(world.generations.current.balancer, "_report", None)
        world.vllm.up = True
        world.clock.advance(3.0)
    world.clock.advance(5.0)
    assert world.reachable() == [True, True]
    assert world.counted("prober")


def test_who_asked_for_a_reload_that_fails_has_an_answer_and_the_next_one_works(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Reloader) -> None:
        raise ZeroDivisionError("for this test")

    def post() -> asyncio.Task[Any]:
        request: Any = None
        task = world.clock.do(lambda: world.clock.create_task(world.reloader.answer(request)))
        world.clock.advance(1.0)
        assert task.done()
        return task

    with monkeypatch.context() as patched:
        patched.setattr(Reloader, "_reload", broken)
        assert post().result().status == 500
    assert post().result().status == 422


def test_a_new_config_ends_the_tasks_of_the_one_before(world: World) -> None:
    """As many as at the beginning are left: for each endpoint two, and one of timeouts."""
    names = sorted(task.get_name() for task in world.generations.supervisor._tasks)
    world.clock.do(world.generations.swap, PREPARED)
    world.clock.advance(0.0)
    assert sorted(task.get_name() for task in world.generations.supervisor._tasks) == names
    assert names.count("poller") == names.count("prober") == 2
    assert names.count("timeouts") == 1
