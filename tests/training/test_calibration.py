"""Thresholds are fitted to what runs without a source say of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointsman.classify import artifact, calibration
from support import toy_artifact
from training import corpus
from training.calibration import recalibrate
from training.corpus import DEV_SETS
from training.data import LABELS, CannotTrain

LAW, HEALTH = LABELS.index("law"), LABELS.index("health")


def row(text: str, label: str, source: str, **more: Any) -> str:
    return json.dumps({"text": text, "label": label, "source": source} | more) + "\n"


@pytest.fixture
def data_dir(no_more_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of each of two users' sources 16 rows, the last two of which validate."""
    monkeypatch.setattr(corpus, "user_prompts", list)
    folder = no_more_data
    labels = {"a": "law", "b": "health"}
    rows = [row(f"{source} question {i}", label, source) for source, label in labels.items() for i in range(16)]
    (folder / "train.jsonl").write_text("".join(rows))
    for name in DEV_SETS:
        (folder / f"{name}.jsonl").touch()
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An artifact that was calibrated on these rows, at a temperature of 0.5."""
    rows = calibration.encode(certain(LAW, LAW, HEALTH, HEALTH), np.array([LAW, LAW, HEALTH, HEALTH]))
    model = toy_artifact.model(LABELS)
    contents = {"model.onnx": model, "calibration.bin": rows}
    return toy_artifact.build(tmp_path / "artifact", contents, labels=list(LABELS), temperature=0.5)


def certain(*labels: int) -> Any:
    return np.eye(len(LABELS))[list(labels)]


def run(tmp_path: Path, source: str, count: int, *, held_out: list[str] | None = None) -> Path:
    """What a training without `source` wrote: of each row of law it says 0.6 law and 0.4 health."""
    checkpoint = tmp_path / f"without-{source}"
    checkpoint.mkdir()
    about = {"held_out": held_out or [source], "commit": "c0ffee", "weights": "f00d"}
    (checkpoint / "training.json").write_text(json.dumps(about))
    said = dict.fromkeys(LABELS, 0.0) | {"law": 0.6, "health": 0.4}
    work = tmp_path / f"without-{source}.work"
    work.mkdir()
    rows = [row(f"{source} {i}", "law", source, probabilities=said) for i in range(count)]
    (work / "held-out.jsonl").write_text("".join(rows))
    return checkpoint


def test_the_rows_of_a_held_out_source_are_replaced_by_what_its_run_says_of_them(
    tmp_path: Path, data_dir: Path, folder: Path
) -> None:
    """At the artifact's temperature; the other sources' rows, and the temperature, stay."""
    made_of = recalibrate(data_dir, folder, [run(tmp_path, "a", 3)])
    found = artifact.load(folder)
    assert found.calibration is not None
    assert found.calibration.truth.tolist() == [HEALTH, HEALTH, LAW, LAW, LAW]
    assert found.calibration.probabilities[:2] == pytest.approx(certain(HEALTH, HEALTH), abs=0.001)
    sharper = 0.6**2 / (0.6**2 + 0.4**2)
    assert found.calibration.probabilities[2:, LAW] == pytest.approx(sharper, abs=0.005)
    assert found.manifest.temperature == 0.5
    held_out = hashlib.sha256((tmp_path / "without-a.work" / "held-out.jsonl").read_bytes()).hexdigest()
    recorded = {"rows": 3, "sha256": held_out}
    assert found.manifest.verification["thresholds"] == {"rows": 5, "held_out": {"a": recorded}}
    assert made_of["a"].items() >= recorded.items()
    assert {"commit", "weights", "sha256"} <= made_of["a"].keys()


def test_no_source_has_more_than_300_rows_of_a_label(tmp_path: Path, data_dir: Path, folder: Path) -> None:
    assert recalibrate(data_dir, folder, [run(tmp_path, "a", 1000)])["a"]["rows"] == 300


def test_a_run_may_hold_out_several_sources_of_which_some_stay_as_they_are(
    tmp_path: Path, data_dir: Path, folder: Path
) -> None:
    without_both = run(tmp_path, "a", 3, held_out=["a", "b"])
    made_of = recalibrate(data_dir, folder, [without_both], without=["b"])

    found = artifact.load(folder)
    assert found.calibration is not None
    assert found.calibration.truth.tolist() == [HEALTH, HEALTH, LAW, LAW, LAW]
    assert made_of.keys() == found.manifest.verification["thresholds"]["held_out"].keys() == {"a"}


@pytest.mark.parametrize("fault", ["another artifact", "twice", "no rows"])
def test_what_does_not_fit_together_changes_nothing(tmp_path: Path, data_dir: Path, folder: Path, fault: str) -> None:
    before = (folder / "calibration.bin").read_bytes()
    if fault == "another artifact":
        checkpoint, message = run(tmp_path, "a", 3), "was not calibrated on the 6 rows"
        with (data_dir / "train.jsonl").open("a") as file:
            file.writelines(row(f"c {i}", "law", "c") for i in range(16))
    elif fault == "twice":
        checkpoint, message = run(tmp_path, "a", 3), "a was held out by another of the runs as well"
    else:
        checkpoint, message = tmp_path / "nothing", "name what a run with --hold-out wrote"
    with pytest.raises(CannotTrain, match=message):
        recalibrate(data_dir, folder, [checkpoint, checkpoint])
    assert (folder / "calibration.bin").read_bytes() == before
