"""From rows and probabilities to a report, its table and its JSON."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from pointsman.classify import artifact
from pointsman.classify.manifest import MODEL, TOKENIZER
from pointsman.config.model import RoutingOptions
from pointsman.errors import ArtifactError
from pointsman.evaluation import table
from pointsman.evaluation.dataset import EvaluationRow
from pointsman.evaluation.evaluate import EvaluationReport, evaluate
from pointsman.evaluation.provenance import Provenance, file_id, provenance
from pointsman.evaluation.reader import ArtifactRunner, TextPredictions
from pointsman.evaluation.scheme import CategoryScheme, LabelScheme, Scheme
from support import toy_artifact
from support.config_files import LABELS
from support.toy_config import category, config

THREE = ("law", "health", "other")
SECRET = "my landlord"


@pytest.fixture
def origin(toy_folder: Path, tmp_path: Path) -> Provenance:
    """Of the toy artifact and a file that stands for the data."""
    data = tmp_path / "rows.jsonl"
    data.touch()
    return provenance(artifact.load(toy_folder), file_id(data), None)


def reading(probabilities: Sequence[Sequence[float]]) -> TextPredictions:
    count = len(probabilities)
    return TextPredictions(
        np.array(probabilities),
        np.full(count, 7),
        np.ones(count, dtype=bool),
        [None] * count,
        0,
        512,
        np.full(count, 0.002),
    )


def report(origin: Provenance, rows: Sequence[tuple[int | None, Sequence[float]]], scheme: Scheme) -> EvaluationReport:
    """A report of rows given as truth and probabilities."""
    numbered = [EvaluationRow(line, f"{SECRET} {line}", truth) for line, (truth, _) in enumerate(rows, start=1)]
    return evaluate(numbered, reading([probabilities for _, probabilities in rows]), scheme, origin)


ROWS = [
    (0, (0.9, 0.1, 0.0)),
    (0, (0.2, 0.8, 0.0)),
    (1, (0.3, 0.7, 0.0)),
    (2, (0.1, 0.4, 0.5)),
    (None, (0.1, 0.1, 0.8)),
    (None, (0.5, 0.4, 0.1)),
    (None, (0.95, 0.0, 0.05)),
]
"""Three of four labeled rows are right; of those out of scope one is `other`, one unsure, one is missed."""


@pytest.fixture
def of_labels(origin: Provenance) -> EvaluationReport:
    return report(origin, ROWS, LabelScheme(THREE, 0.6))


# --- figures ---------------------------------------------------------------------------------------------------


def test_rows_out_of_scope_count_apart(of_labels: EvaluationReport) -> None:
    judged, outside = of_labels.judged, of_labels.out_of_scope
    assert judged is not None
    assert outside is not None
    assert (judged.accuracy.part, judged.accuracy.whole) == (3, 4)
    assert judged.confusion == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert (outside.caught.part, outside.caught.whole) == (2, 3)
    assert outside.chosen == {"law": 2, "other": 1}
    assert sum(found.rows for found in judged.reliability) == 4


def test_the_most_confident_mistakes_come_first(of_labels: EvaluationReport) -> None:
    text = [(mistake.line, mistake.truth, mistake.chosen, mistake.confidence) for mistake in of_labels.mistakes]
    assert text == [(7, "out_of_scope", "law", 0.95), (2, "law", "health", 0.8)]


def test_only_rows_out_of_scope_are_a_report_too(origin: Provenance) -> None:
    found = report(origin, ROWS[4:], LabelScheme(THREE, 0.6))

    assert found.judged is None
    assert "out_of_scope caught" in table.render(found)


def test_with_a_config_the_decision_counts_and_its_model_apart(origin: Provenance) -> None:
    """An unsure prompt of the rest is not given its category, and is answered by the right model all the same."""
    made = config(category("law"), category("health"), category("general"), threshold=0.6)
    scheme = CategoryScheme(made, THREE)
    rows = [(2, (0.3, 0.2, 0.5)), (0, (0.9, 0.1, 0.0))]

    judged = report(origin, rows, scheme).judged

    assert judged is not None
    assert (judged.accuracy.part, judged.right_model and judged.right_model.part) == (1, 1)
    points = {point.threshold: (point.coverage, point.accuracy) for point in judged.curve}
    assert (points[0.0], points[0.6]) == ((1.0, 1.0), (0.5, 1.0))


def test_each_class_has_the_share_of_its_rows_that_reach_it_and_that_of_its_own_among_those(
    origin: Provenance,
) -> None:
    """What is out of scope belongs to the class that is no domain."""
    passed = report(origin, ROWS, LabelScheme(THREE, 0.6)).passed

    shares = {
        name: [None if it is None else (it.part, it.whole) for it in (one.reach, one.precision)]
        for name, one in passed.items()
    }
    assert shares == {"law": [(1, 2), (1, 2)], "health": [(1, 1), (1, 2)], "other": [(1, 4), (1, 1)]}
    assert {one.threshold for one in passed.values()} == {0.6}


def test_with_a_config_each_category_has_its_own_threshold(origin: Provenance) -> None:
    made = config(category("law"), category("health"), routing=RoutingOptions(thresholds={"law": 0.95}))
    found = report(origin, ROWS, CategoryScheme(made, THREE))

    law, health = found.passed["law"], found.passed["health"]
    assert (law.threshold, law.reach and law.reach.part, law.precision and law.precision.part) == (0.95, 0, 0)
    assert (health.threshold, health.reach and health.reach.part) == (0.6, 1)
    assert list(found.passed) == ["law", "health"]
    assert re.search(r"\nlaw +0\.95 +0\.0 % +0\.0 to 65\.8 % +0\.0 % +0\.0 to 79\.3 %\n", table.render(found))


def test_what_is_in_another_language_or_not_classified_does_not_reach_its_class(origin: Provenance) -> None:
    """A row in another language, and one that was not classified, get the fallback at any threshold."""
    rows = [EvaluationRow(line, "x", 0) for line in (1, 2, 3)]
    found = reading([(0.9, 0.1, 0.0), (0.9, 0.1, 0.0), (0.0, 0.0, 0.0)])
    foreign = dataclasses.replace(found, supported=np.array([True, False, True]))
    made = CategoryScheme(config(category("law"), category("health")), THREE)

    law = evaluate(rows, foreign, made, origin).passed["law"]

    assert law.reach is not None
    assert (law.reach.part, law.reach.whole) == (1, 3)
    labels = evaluate(rows, foreign, LabelScheme(THREE, 0.6), origin).passed["law"]
    assert labels.reach is not None
    assert (labels.reach.part, labels.reach.whole) == (2, 3)


def test_a_class_that_no_row_is_taken_for_has_no_shares(origin: Provenance) -> None:
    found = report(origin, ROWS[:1], LabelScheme(THREE, 0.6))
    health = found.passed["health"]
    assert (health.reach, health.precision) == (None, None)
    assert re.search(r"\nhealth +0\.6 +- +-\n", table.render(found))


def test_the_curve_has_the_thresholds_of_artifact_and_config(toy_folder: Path, tmp_path: Path) -> None:
    """The table names them."""
    folder = toy_artifact.build(tmp_path / "artifact", suggested_threshold=0.65)
    (tmp_path / "rows.jsonl").touch()
    origin = provenance(artifact.load(folder), file_id(tmp_path / "rows.jsonl"), None)
    scheme = CategoryScheme(config(category("law"), category("health"), threshold=0.725), THREE)

    found = report(origin, [(0, (0.7, 0.2, 0.1))], scheme)
    text = table.render(found)

    assert re.search(r"0\.65 +100\.0 % +100\.0 %  <- the artifact's", text)
    assert re.search(r"0\.72 +0\.0 % +-  <- the config's", text)


# --- what it is told in ----------------------------------------------------------------------------------------


def test_the_table_has_the_figures(of_labels: EvaluationReport) -> None:
    text = table.render(of_labels)

    for expected in (
        r"toy\S* on rows\.jsonl: 7 rows",
        r"accuracy +75\.0 %  \(95 %: 30\.1 to 95\.4 %; 3 of 4\)",
        r"macro-F1 +0\.778",
        r"law +2 +100\.0 % +50\.0 % +0\.667",
        r"law +health +1 +50\.0 %",
        r"threshold +coverage +accuracy *\n",
        r" 0\.90 +25\.0 % +100\.0 %",
        r"out_of_scope caught  66\.7 %",
        r"mistakes: line +is +taken for +confidence\n7 +out_of_scope +law +0\.95\n2 +law +health +0\.80\n",
        r"median 2\.00 ms, p95 2\.00 ms",
    ):
        assert re.search(expected, text), expected
    assert max(map(len, text.splitlines())) <= 120


def test_table_and_json_hold_no_prompt_and_no_folder(of_labels: EvaluationReport, toy_folder: Path) -> None:
    encoded = msgspec.json.encode(of_labels).decode()

    for text in (table.render(of_labels), encoded):
        assert "landlord" not in text
        assert str(toy_folder.parent) not in text
    assert msgspec.json.decode(encoded, type=EvaluationReport) == of_labels


def test_the_json_says_where_it_comes_from(toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries are those that are loaded: OpenVINO where it has run in this process."""
    (tmp_path / "rows.jsonl").touch()
    monkeypatch.delitem(sys.modules, "openvino", raising=False)

    loaded, rows = artifact.load(toy_folder), file_id(tmp_path / "rows.jsonl")

    origin = provenance(loaded, rows, None)

    assert origin.artifact.sha256 == artifact.sha256(toy_folder / artifact.MANIFEST)
    assert origin.artifact.files.keys() == {MODEL, TOKENIZER}
    assert origin.versions.keys() == {"pointsman", "python", "numpy", "onnxruntime", "tokenizers"}
    assert origin.machine.keys() == {"cpu", "cores", "system"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", origin.time), "seconds of UTC"

    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(__version__="2026.3"))
    assert provenance(loaded, rows, None).versions["openvino"] == "2026.3"


def test_a_table_without_mistakes_names_none(origin: Provenance) -> None:
    assert "mistakes" not in table.render(report(origin, ROWS[:1], LabelScheme(THREE, 0.6)))


# --- the reader ------------------------------------------------------------------------------------------------


def test_each_text_gives_the_same_whatever_is_read_with_it(toy_folder: Path) -> None:
    """In the order of the texts, also of more than are timed."""
    reader = ArtifactRunner(artifact.load(toy_folder))
    words = [*toy_artifact.WORDS, "unknown"]
    texts = [f"{words[i % len(words)]} {'x ' * (i % 5)}" for i in range(250)]

    found = reader.read(texts)

    assert (len(found.seconds), len(reader.read(texts[:2]).seconds)) == (200, 2)
    for i in (0, 1, 77, 249):
        alone = reader.read([texts[i]])
        assert found.probabilities[i].tolist() == alone.probabilities[0].tolist()
        assert found.tokens[i] == alone.tokens[0] == len(texts[i].split()) + 2
    assert LABELS[found.probabilities[0].argmax()] == toy_artifact.WORDS[words[0]]


def test_progress_counts_every_text(toy_folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    ArtifactRunner(artifact.load(toy_folder)).read(["x"] * 205, lambda done, total: seen.append((done, total)))
    assert seen == [(done, 205) for done in range(1, 206)]


def test_a_text_that_is_cut_is_counted(toy_folder: Path) -> None:
    assert ArtifactRunner(artifact.load(toy_folder)).read(["x " * 600, "x", "x" * 100_000]).cut == 2


def test_a_graph_that_gives_no_number_for_a_text_is_named(tmp_path: Path) -> None:
    folder = toy_artifact.build(tmp_path, {"model.onnx": toy_artifact.adding_model(float("nan"))})
    with pytest.raises(ArtifactError, match="returned NaN or infinity for 'warm up'"):
        ArtifactRunner(artifact.load(folder))
