"""A cost curve that is kept for the next start."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pointsman.classify import artifact, cpu, curve_file
from pointsman.classify.cost_model import CostCurve

CURVE = CostCurve(2, (16, 512), (0.1, 1.0), (0.1, 1.5), (0.1, 0.5))


def key(folder: Path, **changes: Any) -> curve_file.Key:
    fields: dict[str, Any] = {"runtime": "1.32.0", "provider": "cpu", "cores": 2, "threads": 2, "max_tokens": 512}
    return curve_file.key(artifact.load(folder), **(fields | changes))


def test_a_stored_curve_is_loaded(toy_folder: Path, tmp_path: Path) -> None:
    wanted = key(toy_folder)
    assert curve_file.load([tmp_path], wanted) is None
    assert curve_file.store([tmp_path], wanted, CURVE) is None
    assert curve_file.load([tmp_path], wanted) == CURVE
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]


@pytest.mark.parametrize(
    "change", [{"runtime": "1.33.0"}, {"provider": "cuda"}, {"cores": 4}, {"threads": 1}, {"max_tokens": 1024}]
)
def test_a_curve_of_another_host_or_setting_is_not_taken(
    toy_folder: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    curve_file.store([tmp_path], key(toy_folder), CURVE)
    other = key(toy_folder, **change)
    assert curve_file.load([tmp_path], other) is None
    next(tmp_path.iterdir()).rename(tmp_path / curve_file._name(other))
    assert curve_file.load([tmp_path], other) is None


def test_a_curve_of_another_model_or_cpu_is_not_taken(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = key(toy_folder)
    found = artifact.load(toy_folder)
    found.manifest.files["model.onnx"] = "0" * 64
    assert curve_file.key(found, runtime="1.32.0", provider="cpu", cores=2, threads=2, max_tokens=512) != wanted
    cpu_info = tmp_path / "cpuinfo"
    cpu_info.write_text("processor\t: 0\nmodel name\t: Other\nflags\t: fpu\n\nprocessor\t: 1\n")
    monkeypatch.setattr(cpu, "CPU_INFO", cpu_info)
    assert key(toy_folder) != wanted


def test_the_key_of_a_curve_stays_the_same_from_release_to_release(toy_folder: Path) -> None:
    """Otherwise each host would measure anew."""
    files = artifact.load(toy_folder).manifest.files
    named = f"model.onnx={files['model.onnx']}\ntokenizer.json={files['tokenizer.json']}\n"
    assert key(toy_folder) == {
        "model": hashlib.sha256(named.encode()).hexdigest(),
        "runtime": "1.32.0",
        "provider": "cpu",
        "cpu": cpu.identity(),
        "cores": 2,
        "threads": 2,
        "longest": 512,
    }


def test_what_cannot_be_stored_leaves_nothing_behind(toy_folder: Path, tmp_path: Path) -> None:
    wanted = key(toy_folder)
    (tmp_path / curve_file._name(wanted)).mkdir()
    note = curve_file.store([tmp_path], wanted, CURVE)
    assert note is not None
    assert str(tmp_path) in note
    assert [path.is_dir() for path in tmp_path.iterdir()] == [True]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[: len(content) // 2], id="cut off"),
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: b"\xff" + content, id="not text"),
        pytest.param(lambda content: json.dumps(json.loads(content) | {"more": 1}).encode(), id="another form"),
        pytest.param(lambda content: content.replace(b"0.1", b"-1.0"), id="impossible"),
    ],
)
def test_a_damaged_file_is_as_good_as_none_and_is_replaced(
    toy_folder: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    wanted = key(toy_folder)
    curve_file.store([tmp_path], wanted, CURVE)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert curve_file.load([tmp_path], wanted) is None
    curve_file.store([tmp_path], wanted, CURVE)
    assert curve_file.load([tmp_path], wanted) == CURVE


def test_the_next_folder_is_used_where_the_first_takes_nothing(toy_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folders = [tmp_path / "file" / "artifact", tmp_path / "state"]
    assert curve_file.store(folders, key(toy_folder), CURVE) is None
    assert curve_file.load(folders, key(toy_folder)) == CURVE


def test_where_nothing_can_be_written_it_says_so_and_where(toy_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "state"
    assert curve_file.store([folder], key(toy_folder), CURVE) == (
        "the measured cost curve was not stored, the next start measures again: "
        f"cannot write to {folder} (Not a directory)"
    )


def test_the_packages_own_folder_is_left_as_it_was_installed(toy_folder: Path) -> None:
    state = Path(os.environ["STATE_DIRECTORY"])
    assert curve_file.folders(artifact.load(toy_folder)) == (toy_folder, state)
    assert curve_file.folders(artifact.load(artifact.BUILTIN)) == (state,)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"STATE_DIRECTORY": "/var/lib/pointsman", "XDG_STATE_HOME": "/x"}, "/var/lib/pointsman"),
        ({"STATE_DIRECTORY": "/var/lib/pointsman:/var/lib/more"}, "/var/lib/pointsman"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/home/me"}, "/x/pointsman"),
        ({"HOME": "/home/me"}, "/home/me/.local/state/pointsman"),
    ],
)
def test_the_state_directory_is_systemds_or_the_users(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert curve_file.state_folder() == Path(expected)
