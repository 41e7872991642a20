"""An artifact is calibrated on what runs without a source say of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.calibration import main
from training.data import LABELS

SAID = dict.fromkeys(LABELS, 0.0) | {"law": 0.6, "health": 0.4}


def row(text: str, label: str, source: str) -> str:
    return json.dumps({"text": text, "label": label, "source": source, "probabilities": SAID}) + "\n"


def run(folder: Path, rows: str, *sources: str) -> Path:
    """What a training without these sources wrote."""
    checkpoint, work = folder / f"without-{sources[0]}", folder / f"without-{sources[0]}.work"
    checkpoint.mkdir()
    work.mkdir()
    about = {"held_out": sources, "settings": {"group": 1}, "commit": "c0ffee", "weights": "f00d"}
    (checkpoint / "training.json").write_text(json.dumps(about))
    (work / "held-out.jsonl").write_text(rows)
    return checkpoint


def gathered(folder: Path, *checkpoints: Path) -> list[str]:
    rows = folder / "rows.jsonl"
    assert main([str(rows), *map(str, checkpoints)]) == 0
    return rows.read_text().splitlines(keepends=True)


def test_what_all_runs_say_of_their_sources_is_gathered(tmp_path: Path) -> None:
    a, b, c = row("may I sublet", "law", "a"), row("is it a rash", "health", "b"), row("why", "other", "c")

    found = gathered(tmp_path, run(tmp_path, a, "a"), run(tmp_path, b + c, "b", "c"))

    assert sorted(found) == sorted([a, b, c])


def test_a_text_that_two_sources_have_counts_once(tmp_path: Path) -> None:
    rows = row("may I sublet", "law", "a") + row("may I sublet", "other", "b")

    assert len(gathered(tmp_path, run(tmp_path, rows, "a", "b"))) == 1


def test_no_source_has_more_than_150_rows_of_a_label(tmp_path: Path) -> None:
    rows = [row(f"question {i}", "law", "a") for i in range(200)] + [row(f"rash {i}", "health", "a") for i in range(50)]

    found = [json.loads(line)["label"] for line in gathered(tmp_path, run(tmp_path, "".join(rows), "a"))]

    assert (found.count("law"), found.count("health")) == (150, 50)


@pytest.mark.parametrize("fault", ["twice", "no rows"])
def test_runs_that_do_not_fit_together_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    if fault == "twice":
        checkpoint, message = run(tmp_path, row("why", "law", "a"), "a"), "a was held out by another of the runs as"
    else:
        checkpoint, message = tmp_path / "nothing", "name what a run with --hold-out wrote"

    assert main([str(tmp_path / "rows.jsonl"), str(checkpoint), str(checkpoint)]) == 3
    assert message in capsys.readouterr().err
    assert not (tmp_path / "rows.jsonl").exists()
