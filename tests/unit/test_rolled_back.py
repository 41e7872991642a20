"""A service whose state directory says that `pointsman config rollback` of a former release has gone back."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import shlex
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from pointsman.app.generations import Generations
from pointsman.app.overlay import OverlayStore
from pointsman.app.reload import Reloader
from pointsman.app.source import ConfigSource
from pointsman.app.systemd import Notifier
from pointsman.cli.main import main
from pointsman.errors import CannotStart
from pointsman.observability.log import Log
from support import toy_artifact
from support.config_files import MINIMAL, category
from support.log import Memory
from support.process import eventually


def text(threshold: str) -> bytes:
    model = f"classifier: {{category_model: {{model_id: artifact, threshold: {threshold}}}}}\n"
    return f"{MINIMAL}{model}categories:\n{category('law')}".encode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Host:
    """A config file and a state directory as the former release leaves it: the file has 0.2, and 0.1 is served."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def kept(self) -> Path:
        return self.folder / "state" / "configs" / f"1795000000-{sha256(text('0.1'))}.yaml"

    @property
    def rollback(self) -> Any:
        """What the state directory says of it."""
        return json.loads((self.folder / "state" / "overlay.json").read_bytes())["config"]

    def state(self) -> dict[str, bytes]:
        state = self.folder / "state"
        return {str(one.relative_to(state)): one.read_bytes() for one in state.rglob("*") if one.is_file()}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    toy_artifact.build_measured(tmp_path / "artifact")
    found = Host(tmp_path)
    found.file.write_bytes(text("0.2"))
    found.kept.parent.mkdir(parents=True)
    found.kept.write_bytes(text("0.1"))
    (found.kept.parent / f"1795000060-{sha256(text('0.2'))}.yaml").write_bytes(text("0.2"))
    pin = {"sha256": sha256(text("0.1")), "at": 1795000000, "over": sha256(text("0.2"))}
    empty: dict[str, Any] = {"canaries": {}, "adapters": {}, "classifier": None, "former": []}
    overlay = {"version": 1, "mode": None, "config": pin} | empty
    (tmp_path / "state" / "overlay.json").write_text(json.dumps(overlay))
    return found


@dataclass
class Service:
    """A service that has started, without its listeners."""

    reloader: Reloader
    overlay: OverlayStore

    @property
    def threshold(self) -> float:
        """By which the next request is routed."""
        return self.reloader.serving.config.classifier.category_model.threshold

    @property
    def warnings(self) -> str:
        return "\n".join(self.reloader.serving.warnings)


@contextlib.asynccontextmanager
async def started(folder: Path) -> AsyncIterator[Service]:
    source = ConfigSource(folder / "config.yaml", state=folder / "state")
    prepared = source.prepare()
    generations = Generations(prepared, Log("info", Memory()))
    reloader = Reloader(source, prepared, generations, Notifier(None))
    overlay = OverlayStore(source.state, generations)
    reloader.applied = lambda: overlay.keep_rollback(source.applied())
    task = asyncio.create_task(reloader.run())
    try:
        yield Service(reloader, overlay)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await generations.close()
        generations.log.flush()


async def test_it_is_served_over_restarts_and_nothing_is_written(host: Host) -> None:
    """So that the former release reads what it has written."""
    before = host.state()
    for _ in range(2):
        async with started(host.folder) as service:
            assert service.threshold == 0.1
            assert f"{host.file}: this file is not served, but {host.kept}" in service.warnings
            assert (await service.reloader.ask("SIGHUP")).result == "unchanged"
            assert service.threshold == 0.1
    assert host.state() == before
    assert host.file.read_bytes() == text("0.2")


async def test_what_commands_set_leaves_it_as_the_former_release_wrote_it(host: Host) -> None:
    before = host.rollback
    async with started(host.folder) as service:
        await service.overlay.change(lambda now: structs.replace(now, mode="shadow"), "mode")
    assert host.rollback == before
    async with started(host.folder) as service:
        assert service.threshold == 0.1


async def test_the_command_of_the_warning_makes_it_the_config(host: Host) -> None:
    async with started(host.folder) as service:
        found = re.search(r"`(cp .*?)`", service.warnings)
        assert found is not None
        _, kept, file = shlex.split(found[1])
        shutil.copyfile(kept, file)
        assert (await service.reloader.ask("file")).result == "unchanged"
        assert service.reloader.serving.rolled_back is None
        await eventually(lambda: host.rollback is None, "it is forgotten")
    async with started(host.folder) as service:
        assert (service.threshold, "former release" in service.warnings) == (0.1, False)


async def test_it_ends_when_the_file_changes_also_for_what_the_file_was_before(host: Host) -> None:
    async with started(host.folder) as service:
        host.file.write_bytes(text("0.3"))
        assert (await service.reloader.ask("file")).result == "applied"
        assert service.threshold == 0.3
        await eventually(lambda: host.rollback is None, "it is forgotten")
        host.file.write_bytes(text("0.2"))
        await service.reloader.ask("file")
        assert service.threshold == 0.2
    async with started(host.folder) as service:
        assert (service.threshold, "former release" in service.warnings) == (0.2, False)
    assert len(list(host.kept.parent.iterdir())) == 2, "a config was kept"


async def test_a_file_that_changed_while_the_service_was_down_ends_it(host: Host) -> None:
    host.file.write_bytes(text("0.3"))
    async with started(host.folder) as service:
        assert (service.threshold, "former release" in service.warnings) == (0.3, False)
        await eventually(lambda: host.rollback is None, "it is forgotten")


async def test_a_file_that_is_refused_after_it_was_read_does_not_end_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise CannotStart("it cannot be served")

    async with started(host.folder) as service:
        with monkeypatch.context() as patch:
            patch.setattr("pointsman.app.reload.refuse_loops", refuse)
            host.file.write_bytes(text("0.3"))
            assert (await service.reloader.ask("file")).error is not None
        host.file.write_bytes(text("0.2"))
        await service.reloader.ask("file")
        assert service.threshold == 0.1
    assert host.rollback is not None


async def test_a_faulty_file_does_not_end_it(host: Host) -> None:
    async with started(host.folder) as service:
        host.file.write_bytes(text("2"))
        assert (await service.reloader.ask("file")).error is not None
        assert service.threshold == 0.1
    assert host.rollback is not None


@pytest.mark.parametrize("content", [None, text("0.4"), b"colour: red\n"], ids=["gone", "changed", "faulty"])
async def test_where_it_cannot_be_served_the_service_starts_and_reloads_with_the_file(
    host: Host, content: bytes | None
) -> None:
    """And the next start tries it again."""
    if content is None:
        host.kept.unlink()
    else:
        host.kept.write_bytes(content)
    for _ in range(2):
        async with started(host.folder) as service:
            assert service.threshold == 0.2
            assert f"{host.file} is served, though a former release has gone back to another config" in service.warnings
            assert str(host.kept) in service.warnings
            assert (await service.reloader.ask("SIGHUP")).error is None
    assert host.rollback is not None


async def test_while_it_is_served_a_reload_that_cannot_read_it_changes_nothing(host: Host) -> None:
    async with started(host.folder) as service:
        host.kept.unlink()
        error = (await service.reloader.ask("SIGHUP")).error
        assert str(host.kept) in str(error)
        assert service.threshold == 0.1


async def test_no_config_is_kept(host: Host) -> None:
    (host.folder / "state").rename(host.folder / "former")
    async with started(host.folder) as service:
        host.file.write_bytes(text("0.3"))
        await service.reloader.ask("file")
        await service.overlay.change(lambda now: structs.replace(now, mode="shadow"), "mode")
    assert host.state().keys() == {"overlay.json"}


def test_check_says_that_the_file_is_served_where_the_other_is_gone(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(host.folder / "state"))
    assert main(["check", str(host.file)]) == 0
    assert "`cp " in capsys.readouterr().out
    host.kept.unlink()
    assert main(["check", str(host.file)]) == 0
    out = capsys.readouterr().out
    assert "this file is served" in out
    assert "`cp " not in out
    host.file.write_bytes(text("0.3"))
    assert main(["check", str(host.file)]) == 0
    assert "former release" not in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["rollback", "2"], ["list"], ["follow"]])
def test_the_former_commands_say_what_to_do(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["config", *arguments])
    assert ended.value.code == 2
    assert "restore the file from version control or a copy" in capsys.readouterr().err
