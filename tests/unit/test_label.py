"""`pointsman label`: labels by one key or by arguments, kept in a file that loses none."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pointsman.cli.label import _ask_each
from pointsman.cli.main import main
from pointsman.errors import EvaluationError
from pointsman.improve.labels_file import LabelledText, add_label, read_labels, undo_label
from pointsman.improve.taught_file import TaughtRow, taught_file
from pointsman.improve.texts_file import TextRecord
from pointsman.improve.worklist_file import WorklistItem, read_worklist
from pointsman.store.rows_file import encoded
from support.config_files import MINIMAL

CATEGORIES = """\
categories:
  - {name: law, model_scores: [{model: base, lora_name: law-lora, score: 1}]}
  - {name: other, model_scores: [{model: base, score: 1}]}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    (tmp_path / "config.yaml").write_text(MINIMAL + CATEGORIES)
    items = [{"id": name * 2, "hash": name * 4, "text": f"text {name}\x1b[2J", "useful": 1.0} for name in "abc"]
    (tmp_path / "improve").mkdir()
    (tmp_path / "improve" / "worklist.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    return tmp_path


def label(folder: Path, *arguments: str) -> int:
    return main(["label", "--config", str(folder / "config.yaml"), *arguments])


def labels_in(folder: Path) -> dict[str, str]:
    return {one.hash: one.label for one in read_labels(folder / "improve" / "labels.jsonl")}


# --- the file ---------------------------------------------------------------------------------------------------


def one(name: str, said: str) -> LabelledText:
    return LabelledText(name, f"text {name}", said)


def test_the_last_label_of_a_text_counts(tmp_path: Path) -> None:
    path = tmp_path / "new" / "labels"
    for given in (one("a", "law"), one("b", "math"), one("a", "math")):
        add_label(path, given)
    assert [(found.hash, found.label) for found in read_labels(path)] == [("b", "math"), ("a", "math")]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_undo_takes_labels_back_one_after_the_other_and_the_former_hold_again(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    for given in (one("a", "law"), one("b", "math"), one("a", "math")):
        add_label(path, given)
    left = []
    for _ in range(4):
        taken = undo_label(path, "")
        left.append((taken and taken.label, {found.hash: found.label for found in read_labels(path)}))
    assert left == [("math", {"a": "law", "b": "math"}), ("math", {"a": "law"}), ("law", {}), (None, {})]


def test_the_file_takes_50_000_lines(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_bytes(b"{}\n" * 49_999)
    add_label(path, one("a", "law"))
    with pytest.raises(EvaluationError, match="takes no more"):
        add_label(path, one("b", "law"))
    assert [found.hash for found in read_labels(path)] == ["a"]


# --- by arguments -----------------------------------------------------------------------------------------------


def test_a_text_is_labelled_by_arguments(folder: Path) -> None:
    assert label(folder, "--id", "aa", "--label", "law") == 0
    assert label(folder, "--id", "bbbb", "--label", "none") == 0
    assert labels_in(folder) == {"aaaa": "law", "bbbb": "out_of_scope"}
    assert label(folder, "--undo") == 0
    assert labels_in(folder) == {"aaaa": "law"}
    assert [label(folder, "--undo") for _ in range(2)] == [0, 1], "nothing is left to undo"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--id", "zz", "--label", "law"], "no text zz"),
        (["--id", "aa", "--label", "laws"], 'no category is named "laws"; write one of: law, other, none'),
        (["nowhere", "--id", "aa", "--label", "law"], "`pointsman collect` writes one"),
        (["config.yaml", "--id", "aa", "--label", "law"], "no worklist"),
        ([], "standard input is no terminal"),
    ],
)
def test_what_cannot_be_labelled_is_told(
    folder: Path,
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert label(folder, *arguments) == 1
    assert said in capsys.readouterr().err
    assert labels_in(folder) == {}


def test_half_a_label_is_wrong_usage(folder: Path) -> None:
    with pytest.raises(SystemExit):
        label(folder, "--id", "aa")


# --- by keys ----------------------------------------------------------------------------------------------------


STEPS = (
    (b"1", b"text a"),
    (b"n", b"text b"),
    (b"u", b"text c"),
    (b"s", b"text b"),
    (b"1", b"text c"),
    (b"", b"2 labels"),
)
"""What is pressed once this is shown."""


@pytest.mark.parametrize(
    ("suggested", "kept"), [("law", "law"), ("(none)", "out_of_scope"), ("gone", None), (None, None)]
)
def test_enter_confirms_what_a_model_says_and_nothing_else(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    suggested: str | None,
    kept: str | None,
) -> None:
    item = WorklistItem("a", "text", 1.0, "hash", suggested=suggested)
    monkeypatch.setattr(sys, "stdin", io.StringIO("\nq"))
    _ask_each([item], ["law", "other"], {}, folder / "improve" / "labels.jsonl")
    assert labels_in(folder).get("hash") == kept
    assert ("a model says: law" in capsys.readouterr().out) is (suggested == "law")


def test_what_a_model_said_of_a_stored_text_is_in_the_worklist(folder: Path) -> None:
    texts = [TextRecord("h1", "may I sublet"), TextRecord("h2", "sum by month"), TextRecord("h3", "why")]
    (folder / "texts.jsonl").write_bytes(b"".join(map(encoded, texts)))
    (folder / "config.yaml").write_text(MINIMAL + CATEGORIES + "pointsman: {log: {texts_file: texts.jsonl}}\n")
    said = [TaughtRow("may I sublet", "law", "base", "ann"), TaughtRow("sum by month", None, "base", "ann")]
    taught_file(folder / "improve" / "taught.jsonl").replace([*said, TaughtRow("why", "law", "base")])
    assert main(["collect", "--config", str(folder / "config.yaml")]) == 0
    found = {item.text: item.suggested for item in read_worklist(folder / "improve" / "worklist.jsonl")}
    assert found == {"may I sublet": "law", "sum by month": "(none)", "why": None}


@pytest.mark.heavy
def test_one_key_labels_skips_takes_back_and_quits(folder: Path) -> None:
    """In a terminal, without Enter; a prompt cannot write to the screen what it likes."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pointsman", "label", "--config", str(folder / "config.yaml")]
    said = b""
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as started:
        os.close(theirs)
        try:
            for key, shown in STEPS:
                seen = len(said)
                while shown not in said[seen:]:
                    assert select.select([ours], [], [], 60)[0], said
                    said += os.read(ours, 65_536)
                os.write(ours, key)
            assert started.wait(60) == 0
        finally:
            started.kill()
    os.close(ours)
    assert labels_in(folder) == {"aaaa": "law", "cccc": "law"}
    assert b"\x1b" not in said
