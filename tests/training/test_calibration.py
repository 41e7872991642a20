"""An artifact is calibrated on what runs without a source say of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from training import calibration
from training.calibration import main
from training.data import LABELS

SAID = dict.fromkeys(LABELS, 0.0) | {"law": 0.6, "health": 0.4}


def row(text: str, label: str, source: str) -> str:
    return json.dumps({"text": text, "label": label, "source": source, "probabilities": SAID}) + "\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it is kept what runs say."""
    path = tmp_path / "held-out"
    path.mkdir()
    monkeypatch.setattr(calibration, "KEPT", path)
    return path


def run(folder: Path, rows: str, group: int = 1, share: float = 0.25) -> Path:
    """What a training without a group wrote."""
    checkpoint, work = folder / f"run-{group}", folder / f"run-{group}.work"
    checkpoint.mkdir()
    work.mkdir()
    settings = {"group": group, "share": share}
    about = {"held_out": ["a"], "settings": settings, "commit": "c0ffee", "weights": "f00d", "run": {}, "rows": {}}
    (checkpoint / "training.json").write_text(json.dumps(about))
    (work / "held-out.jsonl").write_text(rows)
    return checkpoint


def gathered(tmp_path: Path, *checkpoints: Path) -> list[dict[str, Any]]:
    rows = tmp_path / "rows.jsonl"
    assert main([str(rows), *map(str, checkpoints)]) == 0
    return [json.loads(line) for line in rows.read_text().splitlines()]


def hashed(*lines: str) -> list[dict[str, Any]]:
    """The rows, with the hash of each text in place of it, by hash."""
    rows = [json.loads(line) for line in lines]
    return sorted(
        (one | {"text": hashlib.sha256(one["text"].encode()).hexdigest()} for one in rows), key=lambda one: one["text"]
    )


def test_what_all_runs_say_of_their_sources_is_gathered_without_the_texts(tmp_path: Path) -> None:
    a, b, c = row("may I sublet", "law", "a"), row("is it a rash", "health", "b"), row("why", "other", "c")

    found = gathered(tmp_path, run(tmp_path, a, 1), run(tmp_path, b + c, 2))

    assert found == hashed(a, b, c)


def test_what_an_earlier_session_kept_is_gathered_too(tmp_path: Path) -> None:
    a, b = row("may I sublet", "law", "a"), row("is it a rash", "health", "b")
    gathered(tmp_path, run(tmp_path, a, 1))

    assert gathered(tmp_path, run(tmp_path, b, 2)) == hashed(a, b)


def test_a_run_with_whole_epochs_is_kept_but_not_gathered(tmp_path: Path, folder: Path) -> None:
    a = row("may I sublet", "law", "a")

    assert gathered(tmp_path, run(tmp_path, a, 1, share=1)) == []
    assert [json.loads(line) for line in (folder / "whole-1.jsonl").read_text().splitlines()] == hashed(a)


def test_what_is_kept_names_its_run_and_the_hash_of_its_rows(tmp_path: Path, folder: Path) -> None:
    gathered(tmp_path, run(tmp_path, row("may I sublet", "law", "a"), 3))

    about = json.loads((folder / "3.json").read_text())
    assert about.keys() == {"held_out", "settings", "commit", "weights", "run", "sha256"}
    assert about["sha256"] == hashlib.sha256((folder / "3.jsonl").read_bytes()).hexdigest()


def test_a_text_that_two_sources_have_counts_once(tmp_path: Path) -> None:
    rows = row("may I sublet", "law", "a") + row("may I sublet", "other", "b")

    assert len(gathered(tmp_path, run(tmp_path, rows))) == 1


def test_no_source_has_more_than_150_rows_of_a_label(tmp_path: Path) -> None:
    rows = [row(f"question {i}", "law", "a") for i in range(200)] + [row(f"rash {i}", "health", "a") for i in range(50)]

    found = [one["label"] for one in gathered(tmp_path, run(tmp_path, "".join(rows)))]

    assert (found.count("law"), found.count("health")) == (150, 50)


def test_a_run_that_is_missing_is_named_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "rows.jsonl"), str(tmp_path / "nothing")]) == 3
    assert "name what a run with --hold-out wrote" in capsys.readouterr().err
    assert not (tmp_path / "rows.jsonl").exists()
