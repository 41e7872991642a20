"""Rows that an artifact was fitted on do not judge it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pointsman.classify import artifact
from pointsman.cli.main import main
from pointsman.errors import ArtifactError, EvaluationError
from pointsman.evaluation.dataset import EvaluationRow
from pointsman.evaluation.fitted_rows import pack, unseen
from support import toy_artifact

FILE = "fitted_rows.bin"


def fitted(folder: Path, texts: Sequence[str]) -> artifact.Artifact:
    """A toy artifact that records these rows."""
    return artifact.load(toy_artifact.build(folder / "toy", {FILE: pack(texts)}))


def left(folder: Path, texts: Sequence[str], rows: Sequence[EvaluationRow]) -> list[int]:
    """The lines of the rows that may judge an artifact that was fitted on `texts`."""
    return [row.line for row in unseen(rows, fitted(folder, texts))]


def test_a_row_is_eight_bytes_of_a_hash_in_order() -> None:
    """Each text once, whatever its case and spaces."""
    hashes = [hashlib.sha256(text).digest()[:8] for text in (b"sue me", b"blood", b"strasse")]

    assert pack(["Sue  me", "blood", "\tsue me ", "Straße"]) == b"".join(sorted(hashes))


@pytest.mark.thorough
def test_a_hundred_thousand_rows_are_recorded_at_most() -> None:
    """Those with the smallest hashes, so that the choice does not depend on the order of the rows."""
    texts = [str(number) for number in range(100_001)]

    content = pack(texts)

    assert len(content) == 800_000
    assert content == pack(reversed(texts))
    assert content == b"".join(sorted(hashlib.sha256(text.encode()).digest()[:8] for text in texts))[:800_000]


def test_rows_of_the_fit_are_left_out_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [EvaluationRow(1, "Blood  pressure", 0), EvaluationRow(2, "my landlord", 1), EvaluationRow(3, "weather", 2)]

    assert left(tmp_path, ["blood pressure", "weather"], rows) == [2]

    warning = "warning: 2 of 3 rows were used to fit this artifact; figures below are of the other 1\n"
    assert capsys.readouterr() == ("", warning)


WRAPPED = "<context>Tenancy law.</context>\nMay I sublet my flat?"


@pytest.mark.parametrize("text", [WRAPPED, "May I sublet my flat?"])
@pytest.mark.parametrize("messages", [None, [{"role": "user", "content": WRAPPED}]])
def test_a_row_whose_text_or_ask_was_fitted_on_is_left_out(
    tmp_path: Path, text: str, messages: list[Any] | None
) -> None:
    """The ask is what is classified, whatever is around it."""
    assert left(tmp_path, [text], [EvaluationRow(1, WRAPPED, 0, messages), EvaluationRow(2, "x", 0)]) == [2]


def test_an_artifact_without_a_record_is_judged_by_all_rows(
    toy_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [EvaluationRow(1, "blood", 0)]

    assert unseen(rows, artifact.load(toy_folder)) == rows
    assert capsys.readouterr() == ("", "")


def test_without_other_rows_there_is_nothing_to_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command fails."""
    found = fitted(tmp_path, ["blood", "weather"])
    with pytest.raises(EvaluationError, match="all 2 rows were used to fit this artifact"):
        unseen([EvaluationRow(1, "Blood", 0), EvaluationRow(2, "weather", 1)], found)

    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"text": "blood", "label": "health"}))
    assert main(["eval", str(found.folder), str(rows)]) == 1
    out, err = capsys.readouterr()
    assert (out, err.startswith("pointsman: "), "give it other rows" in err) == ("", True, True)


def test_a_record_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """It is none that `fit` wrote."""
    found = artifact.load(toy_artifact.build(tmp_path / "toy", {FILE: bytes(800_001)}))

    with pytest.raises(
        ArtifactError, match=r"fitted_rows\.bin: cannot be read .*800,000 bytes.*fit the classifier again"
    ):
        unseen([EvaluationRow(1, "blood", 0)], found)
