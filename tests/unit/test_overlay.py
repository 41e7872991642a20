"""What commands decide beside the config: at once, kept in the state directory, and never in the operator's file."""

from __future__ import annotations

import json
import stat
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from pointsman import files
from pointsman.api.mode import overlay_routes
from pointsman.app import overlay as keeping
from pointsman.app.generations import Generations
from pointsman.app.overlay import OverlayStore
from pointsman.app.prepare import PreparedConfig
from pointsman.classify.classifier import Classifier
from pointsman.cli.mode import render
from pointsman.config import overlay
from pointsman.config.overlay import Overlay, UnloadedAdapter
from pointsman.observability.log import Log
from support.config_files import plain
from support.log import Memory
from support.toy_config import QUIET, config

SHADOW = Overlay(mode="shadow")


def shadow(now: Overlay) -> Overlay:
    return structs.replace(now, mode="shadow")


@pytest.fixture
def prepared(classifier: Classifier) -> PreparedConfig:
    return PreparedConfig(replace(config(), pointsman=QUIET), classifier, b"", ())


def names(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


def generations_of(prepared: PreparedConfig, log: Memory | None = None) -> Generations:
    return Generations(prepared, Log("info", log or Memory()))


def mode(generations: Generations) -> str:
    """The mode by which the next request is routed."""
    return str(generations.current.backend.router.routing.mode)


async def test_a_change_holds_at_once_and_after_a_reload_and_a_restart(
    prepared: PreparedConfig, tmp_path: Path
) -> None:
    first = generations_of(prepared)
    await OverlayStore(tmp_path / "state", first).change(shadow, "mode")
    assert mode(first) == "shadow"
    first.swap(replace(prepared, config=replace(prepared.config, auto_model_name="other")))
    assert mode(first) == "shadow"

    second = generations_of(prepared)
    store = OverlayStore(tmp_path / "state", second)
    assert (mode(second), store.current, store.trouble) == ("shadow", SHADOW, None)
    await first.close()
    await second.close()


async def test_the_file_has_its_version_and_is_its_owners_alone(prepared: PreparedConfig, tmp_path: Path) -> None:
    generations = generations_of(prepared)
    await OverlayStore(tmp_path, generations).change(shadow, "mode")
    file = tmp_path / "overlay.json"
    assert json.loads(file.read_bytes()) == {
        "version": 1,
        "mode": "shadow",
        "canaries": {},
        "adapters": {},
        "config": None,
        "classifier": None,
        "former": [],
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert names(tmp_path) == ["overlay.json"], "something temporary was left"
    await generations.close()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"version": 2}', b'{"mode": "never"}', b'{"version": 1, "moed": "off"}', b"\xff"],
)
async def test_a_file_that_cannot_be_read_is_told_and_holds_for_nothing(
    prepared: PreparedConfig, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "overlay.json").write_bytes(content)
    log = Memory()
    generations = generations_of(prepared, log)
    store = OverlayStore(tmp_path, generations)
    generations.log.flush()

    assert (mode(generations), store.current) == ("on", Overlay())
    assert store.trouble is not None
    assert str(tmp_path / "overlay.json") in store.trouble
    (line,) = [one for one in map(json.loads, log.getvalue().splitlines()) if one["event"] == "overlay"]
    assert (line["level"], line["message"]) == ("error", store.trouble)
    await generations.close()


async def test_without_a_state_directory_it_holds_until_a_restart_and_says_so(prepared: PreparedConfig) -> None:
    generations = generations_of(prepared)
    store = OverlayStore(None, generations)
    await store.change(shadow, "mode")
    assert mode(generations) == "shadow"
    assert store.trouble is not None
    assert "restart forgets" in store.trouble
    await generations.close()


async def test_what_cannot_be_written_holds_all_the_same(prepared: PreparedConfig, tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"a file where the folder should be")
    generations = generations_of(prepared)
    store = OverlayStore(tmp_path / "state", generations)
    await store.change(shadow, "mode")
    assert mode(generations) == "shadow"
    assert store.trouble is not None
    assert "cannot be written" in store.trouble
    await generations.close()


async def test_a_write_that_hung_does_not_bring_back_what_has_changed_since(
    prepared: PreparedConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "WRITE_SECONDS", 0.01)
    free, write, calls = threading.Event(), files.write, 0

    def slow(*arguments: Any, **options: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            free.wait(10)
        write(*arguments, **options)

    generations = generations_of(prepared)
    store = OverlayStore(tmp_path, generations)
    monkeypatch.setattr(files, "write", slow)
    await store.change(shadow, "mode")
    assert store.trouble is not None
    assert "took longer" in store.trouble
    monkeypatch.setattr(keeping, "WRITE_SECONDS", 10.0)
    free.set()
    await store.change(lambda _: Overlay(mode="off"), "mode")
    assert json.loads((tmp_path / "overlay.json").read_bytes())["mode"] == "off"
    await generations.close()


async def test_how_unloaded_adapters_are_loaded_again_survives_a_restart(
    prepared: PreparedConfig, tmp_path: Path
) -> None:
    """Of many, the last thousand."""
    first = generations_of(prepared)
    store = OverlayStore(tmp_path, first)
    for number in range(1_001):
        first.unloaded[f"x{number}"] = UnloadedAdapter(base="base", path=f"/x{number}")
    await store.keep_adapters()
    second = generations_of(prepared)
    OverlayStore(tmp_path, second)
    assert len(second.unloaded) == 1_000
    assert second.unloaded["x1000"] == UnloadedAdapter(base="base", path="/x1000")
    assert plain(overlay.as_yaml(second.overlay))["model_config"]["base"]["loras"][0] == {"name": "x1", "path": "/x1"}
    await first.close()
    await second.close()


def test_it_is_printed_as_the_config_would_have_it() -> None:
    assert plain(overlay.as_yaml(SHADOW)) == {"pointsman": {"routing": {"mode": "shadow"}}}
    assert overlay.as_yaml(Overlay()) == "{}\n"


def test_a_command_shows_the_mode_and_who_set_it() -> None:
    answer: dict[str, Any] = {
        "mode": "shadow",
        "percent": None,
        "configured": "on",
        "overridden": True,
        "categories": [{"category": "law", "mode": "percent", "percent": 12.5}],
    }
    assert render(answer) == [
        "ROUTING  shadow (by `pointsman mode`; the config says on)",
        "  law: 12.5 % of the conversations",
    ]
    assert render(answer | {"overridden": False, "categories": []}) == ["ROUTING  shadow"]


class Asked:
    """A request with a body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self, _: float) -> bytes:
        return self._body


@pytest.mark.parametrize(
    ("said", "expected"), [("off", "off"), ("shadow", "shadow"), ("on", "on"), ("config", "percent")]
)
async def test_the_admin_port_sets_the_mode(classifier: Classifier, tmp_path: Path, said: str, expected: str) -> None:
    routing = replace(QUIET.routing, mode="percent", percent=5.0)
    made = replace(config(), pointsman=replace(QUIET, routing=routing))
    generations = generations_of(PreparedConfig(made, classifier, b"", ()))
    routes: Any = overlay_routes(OverlayStore(tmp_path, generations))
    answer = await routes[1].handler(Asked(json.dumps({"mode": said}).encode()))
    assert answer.status == 200
    assert mode(generations) == expected
    shown = await routes[0].handler(Asked(b""))
    assert json.loads(shown.body)["overlay"] == ({} if said == "config" else {"mode": said})
    await generations.close()


@pytest.mark.parametrize("body", [b"", b"{}", b'{"mode": "percent"}', b'{"mode": 1}', b"[" * 5000])
async def test_another_mode_is_refused_and_changes_nothing(
    prepared: PreparedConfig, tmp_path: Path, body: bytes
) -> None:
    generations = generations_of(prepared)
    routes: Any = overlay_routes(OverlayStore(tmp_path, generations))
    answer = await routes[1].handler(Asked(body))
    assert answer.status == 400
    assert "off" in json.loads(answer.body)["error"]["message"]
    assert not (tmp_path / "overlay.json").exists()
    await generations.close()
