"""The step that names, in the record and in the manifest, all that an artifact was made of."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from pointsman.classify import artifact
from support import toy_artifact
from training import provenance
from training.data import LABELS

WEIGHTS, DATA = "ab" * 32, "cd" * 32
ROW = json.dumps({"text": "f00d", "label": "law", "source": "a", "probabilities": dict.fromkeys(LABELS, 1 / 14)}) + "\n"
ROWS = hashlib.sha256(ROW.encode()).hexdigest()
"""Of the row that the artifact was calibrated on."""
REPORT: dict[str, Any] = {
    "settings": {"epochs": 3, "learning_rate": 0.0001, "seed": 7},
    "held_out": [],
    "sha256": {"train.jsonl": DATA},
    "commit": "12" * 20,
    "python": "3.11.7",
    "versions": {"torch": "2.0"},
    "weights": WEIGHTS,
}


ABOUT = {"held_out": ["a"], "settings": {"group": 1}, "commit": "c0ffee", "weights": DATA, "sha256": ROWS}
"""Of the run without source `a`."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    recorded = {"calibration": {"sha256": ROWS}, "proof": 1}
    return toy_artifact.build(tmp_path / "artifact", source={"name": "toy", "sha256": WEIGHTS}, verification=recorded)


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the record goes."""
    path = tmp_path / "builtin.json"
    monkeypatch.setattr(provenance, "RECORD", path)
    monkeypatch.setattr(provenance, "KEPT", tmp_path)
    keep(tmp_path, ROW)
    return path


def keep(tmp_path: Path, rows: str) -> None:
    """Keep what the run without source `a` says."""
    (tmp_path / "1.json").write_text(json.dumps(ABOUT))
    (tmp_path / "1.jsonl").write_text(rows)


def report(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "training.json"
    path.write_text(json.dumps(REPORT | changes))
    return path


def call(*arguments: Path) -> int:
    return provenance.main(list(map(str, arguments)))


def test_record_and_manifest_name_the_same(tmp_path: Path, folder: Path, record: Path) -> None:
    before = artifact.load(folder).manifest
    assert call(report(tmp_path), folder) == 0

    written, manifest = json.loads(record.read_text()), artifact.load(folder).manifest
    named = manifest.training
    assert written == REPORT | {"calibration": [ABOUT]}
    assert named is not None
    assert named.record == hashlib.sha256(record.read_bytes()).hexdigest()
    assert (named.seed, named.commit, named.python, named.versions) == (7, "12" * 20, "3.11.7", {"torch": "2.0"})
    assert (named.sha256, named.held_out) == ({"train.jsonl": DATA}, {"a": ROWS})
    assert (manifest.files, manifest.verification) == (before.files, before.verification)


def test_it_can_be_run_again_on_its_own_record(tmp_path: Path, folder: Path, record: Path) -> None:
    call(report(tmp_path), folder)
    before = record.read_bytes(), (folder / "pointsman.json").read_bytes()
    assert call(record, folder) == 0
    assert (record.read_bytes(), (folder / "pointsman.json").read_bytes()) == before


@pytest.mark.parametrize(
    ("changes", "rows", "said"),
    [
        ({"weights": DATA}, ROW, "is of other weights than the artifact, whose source is abababababab…"),
        ({"commit": f"{'12' * 20}-dirty"}, ROW, "train it from a clean checkout"),
        ({"commit": ""}, ROW, "was trained at 'no commit'"),
        ({"held_out": ["b"]}, ROW, "was trained without b"),
        ({}, ROW.replace("law", "health"), "was not calibrated on what `training.calibration` wrote last"),
    ],
)
def test_what_does_not_belong_together_changes_nothing(
    tmp_path: Path,
    folder: Path,
    record: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    rows: str,
    said: str,
) -> None:
    before = (folder / "pointsman.json").read_bytes()
    keep(tmp_path, rows)
    assert call(report(tmp_path, **changes), folder) == 3
    assert said in capsys.readouterr().err
    assert not record.exists()
    assert (folder / "pointsman.json").read_bytes() == before


def test_a_report_that_is_not_there_is_named(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(tmp_path / "none.json", folder) == 3
    assert "none.json: No such file or directory; name the training.json of a run" in capsys.readouterr().err
