"""Generations of a config, and the order of reloads: real parts, without a vLLM."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pointsman import daemon_thread
from pointsman.app import reload
from pointsman.app.generations import Generations
from pointsman.app.prepare import PreparedConfig
from pointsman.app.reload import Reloader
from pointsman.app.source import ConfigSource
from pointsman.app.systemd import Notifier
from pointsman.classify.classifier import Classifier
from pointsman.config.model import Config
from pointsman.errors import CannotStart
from pointsman.observability.log import Log
from support.config_files import LABELS, MINIMAL, write_manifest
from support.log import Memory
from support.process import eventually
from support.toy_config import QUIET, A, B, config
from support.virtual_loop import VirtualLoop

Make = Callable[..., AbstractContextManager[Classifier]]


@pytest.fixture
def classifiers(make_classifier: Make) -> Iterator[Callable[[], Classifier]]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(make_classifier())


def prepared(classifier: Classifier, served: Config | None = None) -> PreparedConfig:
    return PreparedConfig(replace(served or config(), pointsman=QUIET), classifier, b"", ())


@contextlib.asynccontextmanager
async def serving(first: PreparedConfig, log: Memory | None = None) -> AsyncIterator[Generations]:
    generations = Generations(first, Log("error" if log is None else "info", log or Memory()))
    try:
        yield generations
    finally:
        await generations.close()


def is_closed(classifier: Classifier) -> bool:
    try:
        classifier.encoder._threads[0].submit(int)
    except RuntimeError:
        return True
    return False


# --- generations ---------------------------------------------------------------------------------------------------


async def test_a_classifier_is_closed_once_the_last_request_before_the_change_has_ended(
    classifiers: Callable[[], Classifier],
) -> None:
    old, new = classifiers(), classifiers()
    async with serving(prepared(old)) as generations:
        releases = [generations.hold(), generations.hold()]
        generations.swap(prepared(new))
        releases[0]()
        await asyncio.to_thread(int)  # as long as it takes where it would be closed already
        assert not is_closed(old)
        assert generations.current.classifier is new
        releases[1]()
        await eventually(lambda: is_closed(old), "the old classifier is closed")
        assert not is_closed(new)


async def test_what_a_later_config_shares_outlives_the_one_before(classifiers: Callable[[], Classifier]) -> None:
    shared = classifiers()
    async with serving(prepared(shared)) as generations:
        upstream = generations.current.balancer.all["a"]
        generations.swap(prepared(shared, config(threshold=0.7)))
        generations.hold()()
        assert generations.current.balancer.all["a"] is upstream
        assert generations.current.config.classifier.category_model.threshold == 0.7
        assert not is_closed(shared)


async def test_what_the_last_but_one_used_is_closed_though_the_one_between_ended_first(
    classifiers: Callable[[], Classifier],
) -> None:
    first, last = classifiers(), classifiers()
    async with serving(prepared(first)) as generations:
        release = generations.hold()
        generations.swap(prepared(first, config(threshold=0.7)))
        generations.swap(prepared(last))
        await asyncio.to_thread(int)
        assert not is_closed(first)
        release()
        await eventually(lambda: is_closed(first), "the first classifier is closed")


async def test_an_endpoint_at_another_address_is_another(classifiers: Callable[[], Classifier]) -> None:
    classifier = classifiers()
    async with serving(prepared(classifier, config(endpoints=(A, B)))) as generations:
        before = generations.current.balancer.all
        moved, heavier = replace(A, port=9000), replace(B, weight=5.0)
        before["b"].breaker.failed(0.0)
        before["b"].in_flight = 3
        generations.swap(prepared(classifier, config(endpoints=(moved, heavier))))
        after = generations.current.balancer.all
        assert after["a"] is not before["a"]
        assert after["b"] is before["b"]


async def test_a_swap_that_fails_changes_nothing(classifiers: Callable[[], Classifier], tmp_path: Path) -> None:
    before, other = classifiers(), classifiers()
    bad = replace(QUIET, log=replace(QUIET.log, texts_file=str(tmp_path / "nowhere" / "texts"), level="debug"))
    async with serving(prepared(before)) as generations:
        service = generations.current
        with pytest.raises(CannotStart, match="texts_file"):
            generations.swap(replace(prepared(other), config=replace(config(), pointsman=bad)))
        assert generations.current is service
        generations.hold()()
        assert not is_closed(before)


# --- the order of reloads ------------------------------------------------------------------------------------------


class Held(ConfigSource):
    """Reads nothing: each reading waits until it is let go, and gives what `found` says."""

    def __init__(self, found: PreparedConfig) -> None:
        super().__init__(Path("nowhere"))
        self.found = found
        self.readings = 0
        self.thread = ""
        self.go = threading.Semaphore(0)

    def prepare(self, previous: PreparedConfig | None = None) -> PreparedConfig:
        self.readings += 1
        self.thread = threading.current_thread().name
        self.go.acquire()
        return self.found


def at_once(work: Callable[[], PreparedConfig], _: str) -> Future[PreparedConfig]:
    """In place of a thread, for whose end a virtual clock cannot wait."""
    future: Future[PreparedConfig] = Future()
    future.set_result(work())
    return future


@contextlib.asynccontextmanager
async def reloading(source: Held, first: PreparedConfig, log: Memory | None = None) -> AsyncIterator[Reloader]:
    async with serving(first, log) as generations:
        reloader = Reloader(source, first, generations, Notifier(None))
        task = asyncio.create_task(reloader.run())
        try:
            yield reloader
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_who_asks_during_a_reload_shares_one_more(classifiers: Callable[[], Classifier]) -> None:
    """The one that runs may have read the file before it was changed."""
    first = prepared(classifiers())
    source = Held(first)
    async with reloading(source, first) as reloader:
        running = reloader.ask("SIGHUP")
        await eventually(lambda: source.readings == 1, "it reads")
        later = [reloader.ask("request") for _ in range(5)]
        source.found = prepared(first.classifier, config(threshold=0.7))
        source.go.release(5)
        assert (await running).generation == 2
        assert {(await asked).result for asked in later} == {"unchanged"}
        assert source.readings == 2


def test_a_storm_of_signals_makes_ten_reloads_a_second_at_most(
    classifiers: Callable[[], Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_thread, "start", at_once)
    first = prepared(classifiers())
    source = Held(first)
    source.go.release(100)

    async def storm() -> None:
        async with reloading(source, first) as reloader:
            while source.readings < 100:
                await asyncio.sleep(0.01)
                reloader.ask("SIGHUP")

    with contextlib.closing(VirtualLoop()) as clock:
        clock.create_task(storm())
        clock.advance(1.0)
        assert source.readings == 10


async def test_one_who_leaves_takes_nobody_elses_answer_along(classifiers: Callable[[], Classifier]) -> None:
    first = prepared(classifiers())
    source = Held(first)
    async with reloading(source, first) as reloader:
        request = object()
        leaving, staying = (asyncio.create_task(reloader.answer(request)) for _ in range(2))  # type: ignore[arg-type]
        await eventually(lambda: source.readings == 1, "it reads")
        leaving.cancel()
        source.go.release(5)
        assert (await staying).status == 200


async def test_a_reload_has_a_thread_with_the_name_by_which_an_operator_finds_it(
    classifiers: Callable[[], Classifier],
) -> None:
    first = prepared(classifiers())
    source = Held(first)
    source.go.release()
    async with reloading(source, first) as reloader:
        await reloader.ask("request")
        assert source.thread == "reload"


async def test_who_asks_for_a_reload_that_the_end_of_the_service_cuts_off_gets_a_503(
    classifiers: Callable[[], Classifier],
) -> None:
    first = prepared(classifiers())
    source = Held(first)
    async with reloading(source, first) as reloader:
        request: Any = object()
        asked = asyncio.create_task(reloader.answer(request))
        await eventually(lambda: source.readings == 1, "it reads")
    source.go.release()
    answer = await asked
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (503, "shutting_down")


async def test_the_log_tells_who_asked_for_a_reload_how_long_it_took_and_where_it_failed(
    classifiers: Callable[[], Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepared(classifiers())
    source, log = Held(first), Memory()
    source.go.release(5)
    async with reloading(source, first, log) as reloader:
        times = iter([1.0, 1.2346, 2.0, 2.0])
        monkeypatch.setattr(reload, "time", SimpleNamespace(time=time.time, perf_counter=lambda: next(times)))
        request: Any = object()
        await reloader.answer(request)
        source.found = None  # type: ignore[assignment]  # which no code expects
        await reloader.ask("SIGHUP")
        reloader._generations.log.flush()
        lines = map(json.loads, log.getvalue().splitlines())
        good, bad = (line for line in lines if line["event"] == "reload")
    assert (good["result"], good["classifier"]) == ("unchanged", "kept")
    assert (good["trigger"], good["seconds"]) == (["request"], 0.235)
    assert (bad["result"], bad["trigger"]) == ("failed", ["SIGHUP"])
    assert bad["traceback"].startswith("Traceback (most recent call last):\n  File ")
    assert "traceback" not in good


async def test_a_classifier_that_was_loaded_in_vain_is_closed(
    classifiers: Callable[[], Classifier], tmp_path: Path
) -> None:
    first, other = prepared(classifiers()), prepared(classifiers())
    bad = replace(QUIET, log=replace(QUIET.log, texts_file=str(tmp_path / "nowhere" / "texts")))
    source = Held(replace(other, config=replace(other.config, pointsman=bad)))
    source.go.release()
    async with reloading(source, first) as reloader:
        assert (await reloader.ask("request")).result == "failed"
        assert (is_closed(first.classifier), is_closed(other.classifier)) == (False, True)


async def test_an_endpoint_where_we_listen_until_the_restart_is_refused(classifiers: Callable[[], Classifier]) -> None:
    """As by an operator who lets vLLM and this service change their ports in one edit of the file."""
    first, other = prepared(classifiers()), prepared(classifiers())
    ours = replace(A, port=8080)
    server = replace(QUIET.server, listen=("127.0.0.1:8000",))
    source = Held(replace(other, config=replace(config(endpoints=(ours,)), pointsman=replace(QUIET, server=server))))
    source.go.release()
    async with reloading(source, first) as reloader:
        outcome = await reloader.ask("request")
        assert isinstance(outcome.error, CannotStart)
        assert "itself listens at 127.0.0.1:8080" in str(outcome.error)
        assert (is_closed(first.classifier), is_closed(other.classifier)) == (False, True)


# --- the file ------------------------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> ConfigSource:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "config.yaml").write_text("a")
    (tmp_path / "data").symlink_to("one")
    source = ConfigSource(tmp_path / "data" / "config.yaml")
    with pytest.raises(CannotStart):
        source.prepare()
    return source


def test_a_file_that_was_read_is_no_news(source: ConfigSource) -> None:
    assert source.news() is None


def test_a_file_that_is_away_is_no_news_until_it_is_back(source: ConfigSource, tmp_path: Path) -> None:
    file = tmp_path / "one" / "config.yaml"
    file.unlink()
    assert source.news() is None
    file.write_text("ab")
    assert source.news() is not None


def write(folder: Path) -> None:
    (folder / "one" / "config.yaml").write_text("ab")


def touch(folder: Path) -> None:
    os.utime(folder / "one" / "config.yaml", ns=(1, 1))


def rename(folder: Path) -> None:
    (folder / "other").write_text("b")
    (folder / "other").replace(folder / "one" / "config.yaml")


def swap_link(folder: Path) -> None:
    (folder / "two").mkdir()
    (folder / "two" / "config.yaml").write_text("a")
    (folder / "other").symlink_to("two")
    (folder / "other").replace(folder / "data")


@pytest.mark.parametrize("change", [write, touch, rename, swap_link])
def test_a_file_that_changed_is_news_until_it_is_read(
    source: ConfigSource, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    change(tmp_path)
    assert source.news() is not None
    with pytest.raises(CannotStart):
        source.prepare()
    assert source.news() is None


def test_the_file_of_keys_is_watched_as_the_config_is_also_where_it_is_at_fault(tmp_path: Path) -> None:
    """A missing one keeps nobody from noticing that the config changes."""
    write_manifest(tmp_path / "artifact", LABELS)
    access = "classifier: {category_model: {model_id: artifact}}\npointsman: {access: {keys_file: keys}}\n"
    file, keys = tmp_path / "config.yaml", tmp_path / "keys"
    file.write_text(MINIMAL + access)
    source = ConfigSource(file)

    def read() -> None:
        with pytest.raises(CannotStart):
            source.prepare()

    for change in (lambda: keys.write_text("broken"), lambda: keys.write_text("broken, too"), lambda: touch_file(file)):
        read()
        assert source.news() is None
        change()
        assert source.news() is not None
    keys.unlink()
    assert source.news() is not None, "the config has changed"
    read()
    assert source.news() is None
    touch_file(file, 2)
    assert source.news() is not None


def touch_file(file: Path, at: int = 1) -> None:
    os.utime(file, ns=(at, at))
