"""`pointsman classifier`: another artifact serves in place of the config's, once it is proven, and back."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pointsman.api.classifiers import classifier_routes
from pointsman.app.artifact_registry import ArtifactRegistry
from pointsman.app.generations import Generations
from pointsman.app.overlay import OverlayStore
from pointsman.app.reload import Reloader
from pointsman.app.source import ConfigSource
from pointsman.app.systemd import Notifier
from pointsman.cli.classifier import render
from pointsman.config import overlay
from pointsman.errors import RequestError
from pointsman.improve.folder import prune_artifacts
from pointsman.observability.log import Log
from support import toy_artifact
from support.config_files import MINIMAL, category
from support.log import Memory

FIGURES = {"correction": {"labelled": 40, "right_before": 10, "right_after": 30}}


class Asked:
    """A request with a body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self, _: float) -> bytes:
        return self._body


@dataclass
class World:
    """A service that has started with the file of a folder, without its listeners."""

    reloader: Reloader
    overlay: OverlayStore
    registry: ArtifactRegistry
    routes: Mapping[str, Any]

    async def ask(self, path: str, **body: Any) -> tuple[int, Any]:
        answer = await self.routes[path].handler(Asked(json.dumps(body).encode()))
        return answer.status, json.loads(answer.body)

    async def promote(self, **body: Any) -> tuple[int, Any]:
        return await self.ask("/classifier/promote", **body)

    async def roll_back(self) -> tuple[int, Any]:
        return await self.ask("/classifier/rollback")

    @property
    def serves(self) -> str:
        """The name of the artifact that classifies the next request."""
        return self.reloader._generations.current.classifier.artifact.folder.name

    @property
    def warnings(self) -> str:
        return "\n".join(self.reloader.serving.warnings)


@contextlib.asynccontextmanager
async def started(folder: Path, *, state: bool = True) -> AsyncIterator[World]:
    source = ConfigSource(folder / "config.yaml", state=folder / "state" if state else None)
    prepared = source.prepare()
    generations = Generations(prepared, Log("info", Memory()))
    reloader = Reloader(source, prepared, generations, Notifier(None))
    overlay_store = OverlayStore(source.state, generations)
    task = asyncio.create_task(reloader.run())
    try:
        registry = ArtifactRegistry(source, reloader, overlay_store)
        routes: list[Any] = classifier_routes(registry)
        yield World(reloader, overlay_store, registry, {one.path: one for one in routes})
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await generations.close()
        generations.log.flush()


def write(folder: Path, model_id: str = "own", shadow: str | None = None) -> None:
    text = f"{MINIMAL}classifier: {{category_model: {{model_id: {model_id}}}}}\ncategories:\n{category('law')}"
    if shadow is not None:
        text += f"pointsman: {{classifier: {{shadow: {shadow}}}}}\n"
    (folder / "config.yaml").write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two artifacts that can be promoted, `old` and `new`, and `wrong`, which gives other answers than it says."""
    write(tmp_path)
    made = tmp_path / "state" / "improve" / "artifacts"
    answers = [{"text": "law", "probabilities": [1.0] + [0.0] * 13}]
    rows: list[tuple[Path, str, dict[str, Any]]] = [
        (tmp_path / "own", "2026-01-01T00:00:00Z", {}),
        (made / "old", "2026-02-01T00:00:00Z", {}),
        (made / "new", "2026-03-01T00:00:00Z", {}),
        (made / "wrong", "2026-01-02T00:00:00Z", {"known_answers": answers}),
    ]
    for path, created, wrong in rows:
        toy_artifact.build_measured(path, created=created, verification=FIGURES, **wrong)
    (made / ".unfinished").mkdir()
    (made / "notes").mkdir()
    return tmp_path


async def test_what_is_promoted_serves_and_a_rollback_lets_the_one_before_serve_again(folder: Path) -> None:
    async with started(folder) as service:
        assert service.serves == "own"
        for name in ("old", "new"):
            status, answer = await service.promote(artifact=name)
            assert (status, answer["classifier"], service.serves) == (200, "loaded", name)
            assert answer["config"] == "own"
        for name in ("old", "own"):
            status, answer = await service.roll_back()
            assert (status, service.serves) == (200, name)
        assert answer["promoted"] is None
        status, answer = await service.roll_back()
        assert (status, answer["error"]["code"]) == (409, "no_promoted_classifier")


async def test_it_is_kept_across_reloads_and_restarts_and_never_in_the_operators_file(folder: Path) -> None:
    before = (folder / "config.yaml").read_bytes()
    async with started(folder) as service:
        await service.promote(artifact="old")
        await service.promote(artifact="new")
        assert (await service.reloader.ask("request")).error is None
        assert service.serves == "new"
    async with started(folder) as service:
        assert service.serves == "new"
        assert "new, promoted at" in service.warnings
        await service.roll_back()
        assert service.serves == "old"
    assert (folder / "config.yaml").read_bytes() == before
    found, _ = overlay.read(folder / "state")
    assert "model_id: " + str(folder / "state" / "improve" / "artifacts" / "old") in overlay.as_yaml(found)


async def test_an_artifact_that_is_not_proven_changes_nothing(folder: Path) -> None:
    async with started(folder) as service:
        await service.promote(artifact="old")
        for name in ("wrong", "nowhere", "notes"):
            status, answer = await service.promote(artifact=name)
            assert (status, service.serves) == (422, "old"), name
            assert "the previous config stays in use" in answer["error"]["message"]
        assert (await service.reloader.ask("request")).error is None
    async with started(folder) as service:
        assert service.serves == "old"


async def test_one_that_is_gone_at_a_start_lets_the_configs_own_serve(folder: Path) -> None:
    async with started(folder) as service:
        await service.promote(artifact="new")
    (folder / "state" / "improve" / "artifacts" / "new").rename(folder / "elsewhere")
    async with started(folder) as service:
        assert service.serves == "own"
        assert "was promoted, but the classifier that the config names serves" in service.warnings


async def test_it_holds_until_the_config_names_another(folder: Path) -> None:
    async with started(folder) as service:
        await service.promote(artifact="new")
        toy_artifact.build_measured(folder / "other", created="2026-04-01T00:00:00Z")
        write(folder, "other")
        assert (await service.reloader.ask("file")).error is None
        assert service.serves == "other"


async def test_the_newest_is_the_default_and_the_list_tells_each_with_its_figures(folder: Path) -> None:
    async with started(folder) as service:
        status, answer = await service.promote()
        assert (status, service.serves) == (200, "new")
        assert [one["name"] for one in answer["artifacts"]] == ["new", "old", "wrong"]
        lines = list(render(answer))
        assert lines[0].endswith("artifacts/new")
        assert "in place of own" in lines[1]
        assert lines[2].endswith("right 10 of 40 before, 30 after")
        status, answer = await service.promote(artifact="new")
        assert (status, answer["error"]["code"]) == (409, "classifier_in_use")


@pytest.mark.parametrize("body", [{"artifact": "../own"}, {"artifact": ".."}, {"artifact": "a/b"}])
async def test_a_name_leads_to_no_other_folder(folder: Path, body: dict[str, str]) -> None:
    async with started(folder) as service:
        status, answer = await service.promote(**body)
        assert (status, answer["error"]["code"], service.serves) == (404, "no_artifact", "own")


async def test_the_configs_own_can_be_tried_while_another_serves_in_its_place(folder: Path) -> None:
    async with started(folder) as service:
        with pytest.raises(RequestError):
            await service.registry.folder_of("../own")
        await service.promote(artifact="new")
        assert await service.registry.folder_of("own") == folder / "own"
        assert await service.registry.folder_of("old") == folder / "state" / "improve" / "artifacts" / "old"


async def test_a_body_of_another_form_is_refused(folder: Path) -> None:
    async with started(folder) as service:
        for body in ({"artifact": 1}, {"name": "new"}, {"artifact": ""}):
            status, answer = await service.promote(**body)
            assert (status, answer["error"]["code"]) == (400, "invalid_json")


async def test_without_a_state_directory_a_path_serves_until_a_restart(folder: Path) -> None:
    made = folder / "state" / "improve" / "artifacts" / "new"
    async with started(folder, state=False) as service:
        assert (await service.promote())[1]["error"]["code"] == "no_artifact"
        status, answer = await service.promote(artifact=str(made))
        assert (status, service.serves) == (200, "new")
        assert "a restart forgets it" in answer["trouble"]


async def test_what_is_discarded_is_gone_and_no_rollback_comes_to_it(folder: Path) -> None:
    made = folder / "state" / "improve" / "artifacts"
    report = made.parent / "report.json"
    report.write_text(json.dumps({"artifact": str(made / "new")}))
    async with started(folder) as service:
        for name in ("old", "new", "old"):
            await service.promote(artifact=name)
        status, answer = await service.ask("/classifier/discard", artifact="new")
        assert (status, [one["name"] for one in answer["artifacts"]]) == (200, ["old", "wrong"])
        assert [path.name for path in made.iterdir() if "new" in path.name] == []
        assert not report.exists(), "it has texts, and is about what is gone"
        await service.roll_back()
        assert service.serves == "old"
        await service.roll_back()
        assert service.serves == "own"
    found, _ = overlay.read(folder / "state")
    assert found == overlay.NOTHING


async def test_one_that_cannot_be_removed_is_told_and_is_gone_for_all_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = folder / "state" / "improve" / "artifacts"
    report = made.parent / "report.json"
    report.write_text(json.dumps({"artifact": str(made / "new")}))

    def refused(path: Path) -> None:  # as for what root has made
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("pointsman.improve.folder.shutil", SimpleNamespace(rmtree=refused))
    async with started(folder) as service:
        for name in ("old", "new", "old"):
            await service.promote(artifact=name)
        status, answer = await service.ask("/classifier/discard", artifact="new")
        assert (status, answer["error"]["code"]) == (409, "discard_failed")
        assert f"{made}/new is not all gone" in answer["error"]["message"]
        assert answer["error"]["message"].endswith(".new.discarded beside it, by hand: Permission denied")
        assert not report.exists(), "it has texts"
        assert [one["name"] for one in (await service.ask("/classifiers"))[1]["artifacts"]] == ["old", "wrong"]
        for name in ("old", "own"):
            assert ((await service.roll_back())[0], service.serves) == (200, name)


async def test_one_that_was_promoted_is_not_discarded_while_the_config_names_another(folder: Path) -> None:
    async with started(folder) as service:
        await service.promote(artifact="new")
        toy_artifact.build_measured(folder / "other", created="2026-04-01T00:00:00Z")
        write(folder, "other")
        assert (await service.reloader.ask("file")).error is None
        status, answer = await service.ask("/classifier/discard", artifact="new")
        assert (status, answer["error"]["code"]) == (409, "classifier_in_use")
        assert answer["error"]["message"] == "new was promoted; roll back first: it stays"
        await service.roll_back()
        assert (await service.ask("/classifier/discard", artifact="new"))[0] == 200


async def test_a_disk_that_hangs_takes_one_thread(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = threading.Event()
    async with started(folder) as service:
        monkeypatch.setattr("pointsman.app.artifact_registry.WRITE_SECONDS", 0.01)
        monkeypatch.setattr("pointsman.classify.artifact.read_manifest", lambda _: ends.wait())
        try:
            for _ in range(3):
                status, answer = await service.ask("/classifiers")
                assert (status, answer["error"]["message"].endswith("took longer than 0.01 s")) == (409, True)
            assert sum(one.name == "artifacts" for one in threading.enumerate()) == 1
        finally:
            monkeypatch.undo()
            ends.set()


async def test_the_report_on_another_fit_stays(folder: Path) -> None:
    made = folder / "state" / "improve" / "artifacts"
    (made.parent / "report.json").write_text(json.dumps({"artifact": str(made / "old")}))
    (made / "linked").symlink_to(folder / "own")
    async with started(folder) as service:
        assert (await service.ask("/classifier/discard", artifact="new"))[0] == 200
        status, answer = await service.ask("/classifier/discard", artifact="linked")
        assert (status, "in use" in answer["error"]["message"]) == (409, True)
        await service.promote(artifact="old")
        (folder / "own").rename(folder / "moved")
        (made / "linked").unlink()
        (made / "linked").symlink_to(folder / "moved")
        assert (await service.ask("/classifier/discard", artifact="linked"))[0] == 200
    assert (made.parent / "report.json").exists()
    assert (folder / "moved" / "pointsman.json").exists(), "what a link leads to is not ours"


async def test_what_serves_is_in_shadow_or_in_the_config_is_not_discarded(folder: Path) -> None:
    made = folder / "state" / "improve" / "artifacts"
    write(folder, str(made / "wrong"), shadow=str(made / "old"))
    toy_artifact.build_measured(made / "wrong", created="2026-01-02T00:00:00Z")
    async with started(folder) as service:
        await service.promote(artifact="new")
        for name, why in (
            ("new", "new is the classifier in use; promote another, or go back: it stays"),
            ("old", "old is in shadow; take it out of classifier.shadow: it stays"),
            ("wrong", "wrong is named in the config, which goes back to it: it stays"),
        ):
            status, answer = await service.ask("/classifier/discard", artifact=name)
            assert (status, answer["error"]["code"], answer["error"]["message"]) == (409, "classifier_in_use", why)
            assert (made / name).is_dir()
        for name in ("../own", "..", "nowhere", "notes", ".unfinished", str(made / "old")):
            status, answer = await service.ask("/classifier/discard", artifact=name)
            assert (status, answer["error"]["code"]) == (404, "no_artifact"), name
        status, answer = await service.ask("/classifier/discard")
        assert (status, answer["error"]["code"]) == (400, "invalid_json")


def test_of_those_before_the_newest_20_are_kept() -> None:
    now = overlay.NOTHING
    for number in range(30):
        now = overlay.promoting(now, overlay.Promotion(path=str(number), over="own", at=0))
    assert [one.path for one in now.former] == [str(number) for number in range(9, 29)]


def test_of_the_artifacts_of_fits_the_newest_10_are_kept_and_those_that_may_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    made = tmp_path / "improve" / "artifacts"
    for number in range(15):
        (made / f"20260101-0000{number:02}").mkdir(parents=True)
    now = overlay.NOTHING
    for number in (1, 3):
        one = overlay.Promotion(path=str(made / f"20260101-0000{number:02}"), over="own", at=0)
        now = overlay.promoting(now, one)
    (tmp_path / overlay.NAME).write_bytes(overlay.encode(now))
    (made / ".one.discarded").mkdir()
    (made / ".unfinished").mkdir()
    (tmp_path / "linked").symlink_to(made / "20260101-000002")
    gone = prune_artifacts([tmp_path / "linked", tmp_path / "elsewhere"])
    assert sorted(one.name for one in gone) == [".one.discarded", "20260101-000000", "20260101-000004"]
    left = sorted(one.name for one in made.iterdir())
    assert left == [".unfinished", *(f"20260101-0000{n:02}" for n in (1, 2, 3, *range(5, 15)))]
