"""Each config that was applied is kept, and an earlier one can be served in place of the file's."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import stat
import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pointsman.api.configs import config_routes
from pointsman.app import config_keeper
from pointsman.app.config_keeper import ConfigKeeper
from pointsman.app.generations import Generations
from pointsman.app.overlay import OverlayKeeper
from pointsman.app.reload import Reloader
from pointsman.app.source import ConfigSource
from pointsman.app.systemd import Notifier
from pointsman.cli.config import render
from pointsman.config.kept_configs import keep, kept
from pointsman.errors import CannotStart
from pointsman.observability.log import Log
from support import toy_artifact
from support.config_files import MINIMAL, category
from support.log import Memory
from support.process import eventually

# --- the files -----------------------------------------------------------------------------------------------------


def contents(state: Path) -> list[bytes]:
    return [one.content() for one in kept(state)]


def test_the_last_four_are_kept_the_newest_first_for_their_owner_alone(tmp_path: Path) -> None:
    for number in range(6):
        keep(tmp_path, b"%d" % number, 1_000 + number)
    assert contents(tmp_path) == [b"5", b"4", b"3", b"2"]
    newest = kept(tmp_path)[0]
    assert (newest.at, newest.sha256) == (1_005, hashlib.sha256(b"5").hexdigest())
    assert stat.S_IMODE(newest.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(newest.path.parent.stat().st_mode) == 0o700
    assert len(list(newest.path.parent.iterdir())) == 4, "something else was left"


def test_a_config_that_comes_back_is_the_newest_and_kept_once(tmp_path: Path) -> None:
    for content in (b"a", b"b", b"b", b"a"):
        keep(tmp_path, content, 1_000)
    assert contents(tmp_path) == [b"a", b"b"]


def test_a_clock_that_goes_back_changes_no_order(tmp_path: Path) -> None:
    for content, now in ((b"a", 2_000), (b"b", 1_000), (b"c", 1_000)):
        keep(tmp_path, content, now)
    assert contents(tmp_path) == [b"c", b"b", b"a"]


def test_other_files_in_the_folder_are_none_of_them(tmp_path: Path) -> None:
    keep(tmp_path, b"a", 1_000)
    (tmp_path / "configs" / "notes.yaml").write_text("mine")
    keep(tmp_path, b"b", 1_001)
    assert contents(tmp_path) == [b"b", b"a"]
    assert (tmp_path / "configs" / "notes.yaml").exists()


def test_one_that_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    keep(tmp_path, b"a", 1_000)
    (one,) = kept(tmp_path)
    one.path.write_bytes(b"b")
    with pytest.raises(CannotStart, match="has been changed"):
        one.content()


# --- the service ---------------------------------------------------------------------------------------------------


class Asked:
    """A request with a body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self, _: float) -> bytes:
        return self._body


@dataclass
class World:
    """A service that has started with the file of a folder, without its listeners."""

    folder: Path
    reloader: Reloader
    overlay: OverlayKeeper
    routes: Mapping[str, Any]
    log: Memory

    def write(self, threshold: str) -> None:
        write(self.folder, threshold)

    async def apply(self, threshold: str) -> None:
        """Change the file and have it read; wait until it is kept."""
        self.write(threshold)
        outcome = await self.reloader.ask("file")
        assert outcome.error is None
        await eventually(lambda: kept(self.folder / "state")[0].content() == file(self.folder), "it is kept")

    async def ask(self, path: str, body: bytes = b"{}") -> tuple[int, Any]:
        answer = await self.routes[path].handler(Asked(body))
        return answer.status, json.loads(answer.body)

    @property
    def threshold(self) -> float:
        """By which the next request is routed."""
        return self.reloader.serving.config.classifier.category_model.threshold

    def messages(self, event: str) -> list[Any]:
        return [
            one.get("message") for one in map(json.loads, self.log.getvalue().splitlines()) if one["event"] == event
        ]


def write(folder: Path, threshold: str) -> None:
    text = f"{MINIMAL}classifier: {{category_model: {{model_id: artifact, threshold: {threshold}}}}}\n"
    (folder / "config.yaml").write_text(text + "categories:\n" + category("law"))


def file(folder: Path) -> bytes:
    return (folder / "config.yaml").read_bytes()


@contextlib.asynccontextmanager
async def started(folder: Path, state: bool = True) -> AsyncIterator[World]:
    log = Memory()
    source = ConfigSource(folder / "config.yaml", state=folder / "state" if state else None)
    prepared = source.prepare()
    generations = Generations(prepared, Log("info", log))
    reloader = Reloader(source, prepared, generations, Notifier(None))
    overlay = OverlayKeeper(source.state, generations)
    keeper = ConfigKeeper(source, reloader, overlay, generations.log)
    keeper.applied(prepared)
    task = asyncio.create_task(reloader.run())
    if state and prepared.pin is None:
        await eventually(lambda: bool(kept(folder / "state")), "it is kept")
    try:
        routes: list[Any] = config_routes(keeper)
        yield World(folder, reloader, overlay, {one.path: one for one in routes}, log)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await generations.close()
        generations.log.flush()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    toy_artifact.build_measured(tmp_path / "artifact")
    write(tmp_path, "0.1")
    return tmp_path


async def test_a_rollback_serves_the_config_before_until_the_file_changes(folder: Path) -> None:
    async with started(folder) as service:
        await service.apply("0.2")
        await service.apply("0.3")
        before = file(folder)

        status, told = await service.ask("/config/rollback")
        assert (status, told["result"], service.threshold) == (200, "applied", 0.2)
        assert [(one["number"], one["in_use"]) for one in told["configs"]] == [(0, False), (1, True), (2, False)]
        assert "is not served, but the config" in told["warnings"][0]
        assert (await service.ask("/config/rollback"))[1]["result"] == "applied"
        assert service.threshold == 0.1, "the next one goes on from there"
        assert (await service.ask("/config/rollback", b'{"number": 1}'))[0] == 200
        assert service.threshold == 0.2
        assert (await service.reloader.ask("SIGHUP")).result == "unchanged"
        assert file(folder) == before, "the operator's file was written"

        await service.apply("0.4")
        assert service.threshold == 0.4
        await eventually(lambda: service.overlay.current.config is None, "the rollback has ended")


async def test_a_rollback_survives_a_restart_and_follow_ends_it(folder: Path) -> None:
    async with started(folder) as service:
        await service.apply("0.2")
        await service.ask("/config/rollback")
    async with started(folder) as service:
        assert service.threshold == 0.1
        assert "until `pointsman config follow`" in service.reloader.serving.warnings[0]
        status, told = await service.ask("/config/follow")
        assert (status, told["rolled_back"], service.threshold) == (200, None, 0.2)
        assert service.overlay.current.config is None
    async with started(folder) as service:
        assert service.threshold == 0.2


async def test_a_file_that_changed_while_the_service_was_down_ends_it(folder: Path) -> None:
    async with started(folder) as service:
        await service.apply("0.2")
        await service.ask("/config/rollback")
    write(folder, "0.3")
    async with started(folder) as service:
        assert service.threshold == 0.3
        await eventually(lambda: service.overlay.current.config is None, "the rollback has ended")


async def test_a_faulty_file_leaves_the_rollback_as_it_is(folder: Path) -> None:
    async with started(folder) as service:
        await service.apply("0.2")
        await service.ask("/config/rollback")
        service.write("2")
        assert (await service.reloader.ask("file")).error is not None
        assert service.threshold == 0.1
        assert service.overlay.current.config is not None


async def test_a_faulty_file_can_be_rolled_back_to_what_it_held_before(folder: Path) -> None:
    """So that a restart serves that, too."""
    async with started(folder) as service:
        service.write("2")
        assert (await service.ask("/config/rollback", b'{"number": 0}'))[0] == 200
    async with started(folder) as service:
        assert service.threshold == 0.1


async def test_a_kept_config_that_does_not_load_any_more_is_told_and_changes_nothing(folder: Path) -> None:
    """As where its artifact is gone."""
    toy_artifact.build_measured(folder / "other")
    async with started(folder) as service:
        text = file(folder).replace(b"model_id: artifact", b"model_id: other")
        (folder / "config.yaml").write_bytes(text)
        assert (await service.reloader.ask("file")).error is None
        await eventually(lambda: len(kept(folder / "state")) == 2, "it is kept")
        (folder / "artifact").rename(folder / "gone")
        status, told = await service.ask("/config/rollback")
        assert status == 422
        assert str(folder / "artifact") in told["error"]["message"]
        assert service.overlay.current.config is None
        assert (await service.reloader.ask("SIGHUP")).error is None, "the next reload tried it again"


async def test_a_disk_that_hangs_takes_one_thread_however_often_it_is_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = threading.Event()
    async with started(folder) as service:
        await service.apply("0.2")
        monkeypatch.setattr(config_keeper, "WRITE_S", 0.01)
        monkeypatch.setattr(config_keeper, "kept", lambda _: ends.wait())
        try:
            for _ in range(3):
                status, told = await service.ask("/configs")
                assert (status, "cannot be read" in told["error"]["message"]) == (409, True)
            assert sum(one.name == "configs" for one in threading.enumerate()) == 1
        finally:
            ends.set()


async def test_problems_of_a_kept_config_name_its_own_file(folder: Path) -> None:
    async with started(folder) as service:
        await service.apply("0.2")
        keep(folder / "state", b"colour: red\n", 2_000_000_000)
        status, told = await service.ask("/config/rollback", b'{"number": 0}')
        assert status == 422
        assert str(kept(folder / "state")[0].path) in told["error"]["message"]


async def test_at_the_start_the_file_is_served_where_the_kept_config_cannot_be(folder: Path) -> None:
    async with started(folder) as service:
        await service.apply("0.2")
        await service.ask("/config/rollback")
    kept(folder / "state")[1].path.unlink()
    async with started(folder) as service:
        assert service.threshold == 0.2
        assert "is kept no more" in service.reloader.serving.warnings[0]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"number": 0}', 409, "config_of_the_file"),
        (b'{"number": 1}', 404, "no_such_config"),
        (b"{}", 404, "no_such_config"),
        (b'{"number": -1}', 400, "invalid_json"),
        (b'{"nubmer": 1}', 400, "invalid_json"),
        (b"[" * 5_000, 400, "invalid_json"),
    ],
)
async def test_what_cannot_be_gone_back_to_is_refused(folder: Path, body: bytes, status: int, code: str) -> None:
    async with started(folder) as service:
        answered, told = await service.ask("/config/rollback", body)
        assert (answered, told["error"]["code"]) == (status, code)


async def test_without_a_state_directory_nothing_is_kept_and_the_command_says_so(folder: Path) -> None:
    async with started(folder, state=False) as service:
        for path in ("/configs", "/config/rollback"):
            status, told = await service.ask(path)
            assert (status, told["error"]["code"]) == (409, "config_not_kept")
            assert "state directory" in told["error"]["message"]


async def test_a_config_that_cannot_be_kept_is_told_and_served(folder: Path) -> None:
    async with started(folder) as service:
        (folder / "state" / "configs").rename(folder / "away")
        (folder / "state" / "configs").write_text("a file where the folder should be")
        service.write("0.2")
        assert (await service.reloader.ask("file")).result == "applied"
        await eventually(lambda: any("cannot be kept" in str(one) for one in service.messages("config")), "it is told")


def test_a_terminal_shows_which_is_in_use() -> None:
    told = {
        "configs": [
            {"number": 0, "at": 0, "sha256": "a" * 64, "in_use": False},
            {"number": 1, "at": 0, "sha256": "b" * 64, "in_use": True},
        ],
        "rolled_back": {"sha256": "b" * 64, "at": 0, "over": "a" * 64},
        "needs_restart": ["pointsman.server.listen"],
        "trouble": None,
    }
    _, first, second, *rest = render(told)
    assert "aaaaaaaaaaaa" in first
    assert second.endswith("bbbbbbbbbbbb  in use")
    assert rest == [
        "rolled back, until `pointsman config follow` or until the file changes",
        "in use after a restart: pointsman.server.listen",
    ]
