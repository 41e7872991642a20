"""A head that an upgrade left on a kept encoder is made anew in the background, and promoted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pointsman.app import head_renewal
from pointsman.app.artifact_registry import ArtifactRegistry
from pointsman.app.generations import Generations
from pointsman.app.head_renewal import is_due, renew
from pointsman.app.overlay import OverlayStore
from pointsman.app.reload import Reloader
from pointsman.app.source import ConfigSource
from pointsman.app.systemd import Notifier
from pointsman.classify import artifact, kept_encoder
from pointsman.errors import RequestError
from pointsman.improve import long_command
from pointsman.improve.improver import Improver
from pointsman.observability.log import Log
from support import toy_artifact
from support.config_files import LABELS, MINIMAL, category
from support.log import Memory
from support.process import eventually
from support.toy_heads import base_in, exchanging, head_on

pytestmark = pytest.mark.heavy  # each command is a process of its own

HEAD = exchanging("law", "health")
COPY = "import json, shutil, sys; shutil.copytree({made!r}, sys.argv[-1]); open({said!r}, 'a').write('made\\n')"


@dataclass
class Upgraded:
    """A service that has started after an upgrade, without its listeners."""

    reloader: Reloader
    registry: ArtifactRegistry
    improver: Improver
    source: ConfigSource
    memory: Memory
    log: Log

    @property
    def serves(self) -> Path:
        return self.reloader._generations.current.classifier.artifact.folder

    @property
    def run(self) -> tuple[str, list[str]]:
        """The state of the long command, and what it says."""
        found = self.improver._commands.status() or {"state": "", "said": []}
        return found["state"], found["said"]

    async def renew(self) -> None:
        serving = self.reloader.serving.classifier.artifact
        await renew(serving, self.source.state, self.improver, self.registry, self.log)

    def said(self) -> list[dict[str, Any]]:
        """The lines of the log about a renewal."""
        self.log.flush()
        lines = [json.loads(line) for line in self.memory.getvalue().splitlines()]
        return [line for line in lines if line["event"] == "classifier" and "message" in line]


@contextlib.asynccontextmanager
async def started(folder: Path) -> AsyncIterator[Upgraded]:
    source = ConfigSource(folder / "config.yaml", state=folder / "state")
    prepared = source.prepare()
    memory = Memory()
    log = Log("info", memory)
    generations = Generations(prepared, log)
    reloader = Reloader(source, prepared, generations, Notifier(None))
    task = asyncio.create_task(reloader.run())
    improver = Improver(source.state, source.path, lambda: generations.current.config, log)
    registry = ArtifactRegistry(source, reloader, OverlayStore(source.state, generations))
    try:
        yield Upgraded(reloader, registry, improver, source, memory, log)
    finally:
        await improver.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await generations.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config that names `old`, a head with rows whose encoder is a kept one, and `made`, which the command copies."""
    state = tmp_path / "state"
    state.mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    words = {"landlord": "law", "tree": "biology"}
    contents = {
        "model.onnx": toy_artifact.with_features(toy_artifact.model(words=words)),
        "tokenizer.json": toy_artifact.tokenizer(words),
    }
    former = toy_artifact.build_measured(
        tmp_path / "former", contents, features=toy_artifact.FEATURES, format_version=4
    )
    old = head_on(former, tmp_path / "old", HEAD, LABELS)
    (old / "rows.jsonl").touch()
    kept = artifact.kept_encoder(artifact.read_manifest(former).encoder or "")
    kept.parent.mkdir()
    former.rename(kept)
    builtin = base_in(tmp_path / "builtin")
    for module in (artifact, kept_encoder, head_renewal):
        monkeypatch.setattr(module, "BUILTIN", builtin)
    remade = {"remade": artifact.read_manifest(old).files["head.bin"]}
    head_on(builtin, tmp_path / "made", HEAD, LABELS, verification=remade)
    command(monkeypatch, COPY.format(made=str(tmp_path / "made"), said=str(tmp_path / "said")))
    model = "classifier: {category_model: {model_id: old}}\n"
    (tmp_path / "config.yaml").write_text(f"{MINIMAL}{model}categories:\n{category('law')}")
    return tmp_path


def command(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Run this program in place of the command."""
    monkeypatch.setattr(long_command, "COMMAND", (sys.executable, "-c", code))


def times(folder: Path) -> int:
    """How often the command ran."""
    said = folder / "said"
    return len(said.read_text().splitlines()) if said.exists() else 0


async def test_the_new_head_serves_and_a_rollback_goes_back_for_good(folder: Path) -> None:
    """The next start does not undo the operator's rollback."""
    async with started(folder) as service:
        assert service.serves == folder / "old"
        await service.renew()
        assert service.serves.parent == folder / "state" / "improve" / "artifacts"
        [line] = service.said()
        assert line["level"] == "info"
        assert f"made anew from the rows of {folder / 'old'}" in line["message"]
        assert "`pointsman classifier rollback`" in line["message"]
    async with started(folder) as service:
        assert service.serves.parent == folder / "state" / "improve" / "artifacts"
        await service.renew()
        await service.registry.roll_back()
        assert service.serves == folder / "old"
    async with started(folder) as service:
        await service.renew()
        assert (service.serves, service.said(), times(folder)) == (folder / "old", [], 1)


async def test_the_command_gets_the_head_and_the_services_config(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, "import sys; sys.exit(' '.join(sys.argv[1:]))")
    async with started(folder) as service:
        await service.renew()
        [line] = service.said()
    artifacts = folder / "state" / "improve" / "artifacts"
    assert f"fit --config {folder / 'config.yaml'} --again {folder / 'old'} -o {artifacts}/2" in line["message"]


async def test_where_it_fails_the_old_one_serves_on_and_one_warning_says_why(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(monkeypatch, "import sys; print('reading', file=sys.stderr); sys.exit('pointsman fit: it is worse')")
    async with started(folder) as service:
        await service.renew()
        assert service.serves == folder / "old"
        [line] = service.said()
        assert line["level"] == "warning"
        assert line["message"].endswith("was not made anew: pointsman fit: it is worse")


async def test_one_that_is_not_proven_is_discarded_and_the_next_start_tries_again(folder: Path) -> None:
    wrong = [{"text": "a", "probabilities": [1.0] + [0.0] * (len(LABELS) - 1)}]
    manifest = json.loads((folder / "made" / "pointsman.json").read_text())
    (folder / "made" / "pointsman.json").write_text(json.dumps(manifest | {"known_answers": wrong}))
    for tried in (1, 2):
        async with started(folder) as service:
            await service.renew()
            assert service.serves == folder / "old"
            [line] = service.said()
            assert "the previous config stays in use" in line["message"]
        assert list((folder / "state" / "improve" / "artifacts").iterdir()) == []
        assert times(folder) == tried


async def test_what_an_operator_has_promoted_meanwhile_stays(folder: Path) -> None:
    head_on(folder / "builtin", folder / "mine", HEAD, LABELS)
    async with started(folder) as service:
        renewal = head_renewal.renew(
            service.reloader.serving.classifier.artifact, service.source.state, service.improver, service.registry,
            service.log,
        )  # fmt: skip
        await service.registry.promote(str(folder / "mine"))
        await renewal
        assert service.serves == folder / "mine"
        [line] = service.said()
        assert f"{folder / 'old'} is no longer the classifier in use" in line["message"]
        assert list((folder / "state" / "improve" / "artifacts").iterdir()) == []


async def test_it_takes_its_turn_with_the_other_long_commands_and_ends_with_the_service(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(monkeypatch, "import sys, time; print('reading', file=sys.stderr, flush=True); time.sleep(600)")

    async with started(folder) as service:
        task = asyncio.create_task(service.renew())
        await eventually(lambda: service.run == ("running", ["reading"]), "it runs")
        with pytest.raises(RequestError, match="fit is running"):
            await service.improver.start("collect")
        await service.improver.cancel()
        await task
        [line] = service.said()
        assert line["message"].endswith("was not made anew: cancelled")
        task = asyncio.create_task(service.renew())
        await eventually(lambda: service.run == ("running", ["reading"]), "it runs again")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert len(service.said()) == 1


@pytest.mark.parametrize("state", [True, False])
async def test_without_rows_or_a_state_directory_nothing_is_tried(folder: Path, state: bool) -> None:
    if state:
        (folder / "old" / "rows.jsonl").unlink()
    async with started(folder) as service:
        service.source.state = service.source.state if state else None
        await service.renew()
        assert (service.serves, service.said(), times(folder)) == (folder / "old", [], 0)


def test_it_is_due_for_a_head_with_rows_on_a_kept_encoder_unless_it_was_made_and_rolled_back(folder: Path) -> None:
    old, encoder = artifact.load(folder / "old"), artifact.read_manifest(folder / "builtin").encoder
    made, others = artifact.read_own(folder / "made"), artifact.read_own(folder / "old")

    assert is_due(old, encoder, [])
    assert is_due(old, encoder, [others])
    assert not is_due(old, encoder, [others, made])
    assert is_due(old, "0" * 64, [made]), "that was for the encoder of another release"
    assert not is_due(artifact.load(folder / "made"), encoder, [])
    assert not is_due(artifact.load(folder / "builtin"), encoder, [])


@pytest.mark.parametrize(
    ("added", "figures", "needed"),
    [
        (False, {}, ["rows.jsonl"]),
        (False, {"correction": {}}, ["rows.jsonl", "labels.jsonl"]),
        (True, {"correction": {}}, ["labels.jsonl"]),
    ],
)
def test_it_needs_the_rows_of_a_fit_and_the_labels_of_a_correction(
    folder: Path, added: bool, figures: dict[str, Any], needed: list[str]
) -> None:
    path = folder / "old" / "pointsman.json"
    manifest = json.loads(path.read_text())
    manifest["head"]["added"] = added
    path.write_text(json.dumps(manifest | {"verification": figures}))
    (folder / "old" / "rows.jsonl").unlink()
    for name in needed:
        assert not is_due(artifact.load(folder / "old"), "", [])
        (folder / "old" / name).touch()
    assert is_due(artifact.load(folder / "old"), "", [])
