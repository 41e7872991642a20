"""What a reload tells: whoever asked, the log, the metrics and systemd; and what the status does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pointsman.app.generations import Generations
from pointsman.app.prepare import PreparedConfig
from pointsman.app.reload import Reloader
from pointsman.app.source import ConfigSource
from pointsman.app.status import status_route
from pointsman.app.systemd import Notifier
from pointsman.classify.classifier import Classifier
from pointsman.classify.shadow import ShadowOptions
from pointsman.config.model import Config
from pointsman.errors import CannotStart
from pointsman.observability.log import Log
from support.log import Memory
from support.toy_config import QUIET, config

Make = Callable[..., AbstractContextManager[Classifier]]


class Given(ConfigSource):
    """Reads what a test gives it, or raises it."""

    def __init__(self, found: PreparedConfig) -> None:
        super().__init__(Path("nowhere"))
        self.found: PreparedConfig | Exception = found

    def prepare(self, previous: PreparedConfig | None = None) -> PreparedConfig:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@dataclass(frozen=True)
class World:
    """A reloader that runs, and all that it tells."""

    source: Given
    reloader: Reloader
    generations: Generations
    log: Memory
    manager: socket.socket

    async def reload(self, found: PreparedConfig | Exception, trigger: str = "request") -> dict[str, Any]:
        """The answer to whoever asked for it."""
        self.source.found = found
        body = (await self.reloader.ask(trigger)).response().body
        answer: dict[str, Any] = json.loads(body)
        return answer

    def lines(self, event: str = "reload") -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]

    def warnings(self) -> list[str]:
        """What systemd was told since the last call."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.manager.recv(4096).decode())
        return found

    def metric(self, name: str, **labels: str) -> float | None:
        return self.generations.metrics.registry.get_sample_value(f"pointsman_{name}", labels)


@pytest.fixture
def first(make_classifier: Make) -> Iterator[PreparedConfig]:
    with make_classifier() as classifier:
        yield prepared(classifier)


def prepared(classifier: Classifier, served: Config | None = None, **fields: Any) -> PreparedConfig:
    return replace(PreparedConfig(replace(served or config(), pointsman=QUIET), classifier, b"", ()), **fields)


@pytest.fixture
async def world(first: PreparedConfig, tmp_path: Path) -> AsyncIterator[World]:
    log = Memory()
    generations = Generations(first, Log("info", log))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        source = Given(first)
        reloader = Reloader(source, first, generations, Notifier(str(tmp_path / "notify")))
        task = asyncio.create_task(reloader.run())
        yield World(source, reloader, generations, log, manager)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await generations.close()


async def test_a_change_is_told_with_what_it_was_and_what_it_is(world: World, first: PreparedConfig) -> None:
    answer = await world.reload(prepared(first.classifier, config(threshold=0.7), warnings=("line 1: old",)))

    change = {"path": "classifier.category_model.threshold", "from": 0.6, "to": 0.7}
    assert answer == {
        "result": "applied",
        "generation": 2,
        "classifier": "kept",
        "changes": [change],
        "needs_restart": [],
        "warnings": ["line 1: old"],
    }
    [line] = world.lines()
    fields = {name: value for name, value in line.items() if name not in {"ts", "seconds"}}
    assert fields == {
        "level": "info",
        "event": "reload",
        "result": "applied",
        "trigger": ["request"],
        "generation": 2,
        "classifier": "kept",
        "changes": [change],
    }
    assert line["seconds"] == round(line["seconds"], 3)
    assert [line["message"] for line in world.lines("config")] == ["line 1: old"]
    assert [line["level"] for line in world.lines("config")] == ["warning"]


async def test_a_reload_without_news_tells_its_warnings_again(world: World, first: PreparedConfig) -> None:
    answer = await world.reload(replace(first, warnings=("line 1: old",)))

    assert (answer["result"], answer["generation"], answer["changes"]) == ("unchanged", 1, [])
    assert answer["warnings"] == ["line 1: old"]


async def test_another_classifier_is_told_by_its_folder_and_the_beginning_of_its_hash(
    world: World, first: PreparedConfig, make_classifier: Make
) -> None:
    with make_classifier() as loaded:
        found = loaded.artifact
        files = {**found.manifest.files, "model.onnx": "0123456789abcdef"}
        manifest = msgspec.structs.replace(found.manifest, files=files)
        loaded.artifact = replace(found, folder=found.folder.with_name("other"), manifest=manifest)
        answer = await world.reload(prepared(loaded))
        assert answer["classifier"] == "loaded"
        hashed = first.classifier.artifact.manifest.files["model.onnx"][:12]
        name = f"{first.classifier.artifact.folder.name} {hashed}"
        assert answer["changes"] == [{"path": "classifier", "from": name, "to": "other 0123456789ab"}]
        assert len(world.lines("classifier")) == 2, "each is told once with its settings"
        await world.reload(first)


async def test_another_key_in_the_same_file_is_a_change_that_does_not_show_it(
    world: World, first: PreparedConfig
) -> None:
    answer = await world.reload(replace(first, key_line=b"Authorization: Bearer secret\r\n"))

    assert answer["changes"] == [
        {"path": "pointsman.relay.api_key_file", "from": "(a key)", "to": "(another key)"},
    ]
    assert "secret" not in world.log.getvalue()


async def test_a_key_from_another_file_is_one_change(world: World, first: PreparedConfig) -> None:
    options = replace(QUIET, relay=replace(QUIET.relay, api_key_file="/etc/key"))
    other = replace(first, config=replace(first.config, pointsman=options), key_line=b"Authorization: Bearer b\r\n")

    answer = await world.reload(other)

    assert answer["changes"] == [{"path": "pointsman.relay.api_key_file", "from": None, "to": "/etc/key"}]


async def test_another_classifier_in_shadow_at_the_same_place_is_told_and_one_that_starts_again(
    world: World, first: PreparedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def loading(_: ShadowOptions) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr("pointsman.app.shadow.ShadowProcess.start", loading)
    options = replace(QUIET, classifier=replace(QUIET.classifier, shadow="/second"))
    found = first.classifier.artifact
    one, other = (
        replace(first, config=replace(first.config, pointsman=options), shadow=replace(found, folder=Path(name)))
        for name in ("/one", "/other")
    )

    await world.reload(one)
    replaced = await world.reload(other)
    assert world.generations.current.shadow is not None
    world.generations.current.shadow.close()
    started = await world.reload(other)

    path = "pointsman.classifier.shadow"
    assert replaced["changes"] == [{"path": path, "from": "(an artifact)", "to": "(another artifact)"}]
    assert started["changes"] == [{"path": path, "from": "(stopped)", "to": "(started)"}]


async def test_another_address_waits_for_a_restart(world: World, first: PreparedConfig) -> None:
    server = replace(QUIET.server, listen=("127.0.0.1:9",), admin_listen="127.0.0.1:10")
    moved = replace(first, config=replace(first.config, pointsman=replace(QUIET, server=server)))

    answer = await world.reload(moved)

    assert answer["result"] == "unchanged"
    assert answer["needs_restart"] == ["pointsman.server.listen", "pointsman.server.admin_listen"]
    assert world.reloader.serving.config.pointsman.server.listen == QUIET.server.listen
    assert world.lines()[0]["needs_restart"] == answer["needs_restart"]


async def test_what_cannot_be_read_is_a_422_without_a_list(world: World) -> None:
    error = (await world.reload(CannotStart("no such file")))["error"]

    assert error["type"] == "invalid_config"
    assert "problems" not in error


async def test_a_fault_of_ours_is_a_500_whose_details_are_only_in_the_log(world: World) -> None:
    world.source.found = RuntimeError()

    response = (await world.reloader.ask("request")).response()

    error = json.loads(response.body)["error"]
    assert response.status == 500
    assert (error["type"], error["code"]) == ("internal_error", "reload_failed")
    assert "RuntimeError" not in error["message"]
    [line] = world.lines()
    assert line["error"] == "RuntimeError()"
    assert line["traceback"].startswith("Traceback (most recent call last)")
    assert line["traceback"].endswith("RuntimeError\n")


async def test_a_failure_shows_until_a_reload_succeeds(world: World, first: PreparedConfig) -> None:
    loaded = world.metric("config_loaded_timestamp_seconds")
    assert world.metric("config_reload_failed") == 0

    await world.reload(CannotStart("no such file"))
    assert world.metric("config_reload_failed") == 1
    assert world.metric("config_loaded_timestamp_seconds") == loaded
    assert world.reloader.status().startswith("the config was not reloaded, see the log; ")

    await world.reload(first)
    assert world.metric("config_reload_failed") == 0
    assert (world.metric("config_loaded_timestamp_seconds") or 0) > (loaded or 0) > 0
    assert world.reloader.status() == world.generations.current.status()
    assert world.metric("reloads_total", result="failed") == world.metric("reloads_total", result="unchanged") == 1


async def test_the_generation_is_that_of_the_config_that_serves(world: World, first: PreparedConfig) -> None:
    assert world.metric("config_generation") == 1
    await world.reload(CannotStart("no such file"))
    assert world.lines()[0]["generation"] == 1
    await world.reload(prepared(first.classifier, config(threshold=0.7)))
    assert world.metric("config_generation") == 2


async def test_the_status_tells_for_how_long_the_service_runs_and_what_each_endpoint_serves(world: World) -> None:
    route: Any = status_route(world.generations, world.reloader, lambda: None)
    answer = json.loads((await route.handler(None)).body)
    assert 0 <= answer["uptime_s"] <= time.time() - answer["started"]
    assert [(one["endpoint"], one["up"], one["in_flight"]) for one in answer["endpoints"]] == [("a", True, 0)]
