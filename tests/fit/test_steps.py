"""The steps of a fit and of a correction, on a toy whose words vote for labels."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import numpy as np
import pytest

from pointsman.classify import artifact
from pointsman.classify.artifact import Artifact
from pointsman.classify.calibration import Calibration, decode, encode
from pointsman.classify.engine import Engine
from pointsman.config.model import Config
from pointsman.evaluation.fitted_rows import pack
from pointsman.evaluation.metrics import expected_calibration_error
from pointsman.improve.labels_file import LabelledText, add_label
from pointsman_export.common.encoder import EncodedTexts, EncoderReader
from pointsman_export.common.errors import DestinationError, FitDataError
from pointsman_export.common.languages import supported
from pointsman_export.common.stored_texts import latest_texts
from pointsman_export.correct import pipeline as correction
from pointsman_export.correct.pipeline import CorrectionRequest, correct
from pointsman_export.correct.report import LabelAccuracy, RoutingChange
from pointsman_export.correct.training import Correction, TextFeatures
from pointsman_export.fit.data import TrainingRows
from pointsman_export.fit.pipeline import FitRequest, _calibrate, fit
from pointsman_export.fit.progress import Progress
from pointsman_export.fit.validation import StrengthChoice
from support import toy_artifact
from support.config_files import LABELS, MINIMAL, loaded


class Steps(Progress):
    """The progress of each step: its name, its parts and what was done of them."""

    def __init__(self) -> None:
        self.found: dict[str, list[int]] = {}

    def step(self, name: str, total: int):  # type: ignore[no-untyped-def]
        self.found[name] = [total]
        return self.found[name].append


# --- a fit ------------------------------------------------------------------------------------------------------

TEXTS = {"tea": [f"python {n}" for n in range(20)], "rail": [f"landlord {n}" for n in range(20)]}


def rows(folder: Path) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": t, "label": name}) + "\n" for name in TEXTS for t in TEXTS[name]))
    return path


def fitted(toy: Path, folder: Path, **options: object) -> FitRequest:
    given: dict[str, object] = {"precision": 0.9, "languages": None, "keeps_rows": True, "force": False} | options
    return FitRequest(data=rows(folder), base=str(toy), output=folder / "out", **given)  # type: ignore[arg-type]


def test_a_fit_writes_what_it_reports(toy: Path, tmp_path: Path) -> None:
    steps, start = Steps(), time.perf_counter()
    report = fit(fitted(toy, tmp_path), steps)

    assert 0 < report.seconds <= time.perf_counter() - start
    assert steps.found == {"reading the texts": [40, 40], "training": [1, 1], "cross-validating": [5, 1, 2, 3, 4, 5]}
    assert (report.data, report.data_sha256) == (
        "rows.jsonl",
        hashlib.sha256((tmp_path / "rows.jsonl").read_bytes()).hexdigest(),
    )
    assert (report.folds, report.precision, report.coverage) == (5, 0.9, 1.0)
    assert report.predicted.tolist() == report.by_half.tolist() == report.rows.truth.tolist()
    found = artifact.load(tmp_path / "out")
    manifest = found.manifest
    assert manifest.labels == ["rail", "tea"]
    assert (manifest.temperature, manifest.suggested_threshold) == (report.temperature, report.threshold)
    assert (manifest.temperature == artifact.load(toy).manifest.temperature, report.threshold is None) == (False, False)
    assert manifest.verification == report.figures()
    assert manifest.source.name == "fit of toy"
    assert found.calibration is not None
    assert found.calibration.truth.tolist() == report.rows.truth.tolist()
    assert (tmp_path / "out" / "fitted_rows.bin").read_bytes() == pack(text for name in TEXTS for text in TEXTS[name])
    read = EncoderReader(artifact.load(toy)).read(["python 99", "landlord 99"])
    assert Engine(found, ["cpu"]).run(read.prompts).argmax(axis=1).tolist() == [1, 0]


def test_a_folder_that_is_there_is_refused_before_anything_is_read(toy: Path, tmp_path: Path) -> None:
    request = fitted(toy, tmp_path)
    request.data.unlink()
    with pytest.raises(FitDataError):
        fit(request, Steps())
    request.output.mkdir()
    with pytest.raises(DestinationError):
        fit(request, Steps())


def test_languages_are_the_bases_or_those_given(toy: Path, tmp_path: Path) -> None:
    request = fitted(toy, tmp_path, languages=["de"], force=True)
    fit(fitted(toy, tmp_path), Steps())
    assert artifact.load(request.output).manifest.languages == ["en"]
    fit(request, Steps())
    assert artifact.load(request.output).manifest.languages == ["de"]


@pytest.mark.parametrize(("precision", "coverage"), [(0.8, 1.0), (0.95, 0.9), (1.0, 0.9)])
def test_the_threshold_keeps_those_rows_that_have_the_precision(precision: float, coverage: float) -> None:
    """36 of 40 rows are surely right, four are less sure and wrong."""
    logits = np.array([[6.0, 0.0]] * 18 + [[0.0, 6.0]] * 18 + [[0.0, 1.0]] * 4)
    truth = np.array([0] * 18 + [1] * 18 + [0] * 4)
    rows = TrainingRows(texts=[], truth=truth, labels=["rail", "tea"], warnings=[])
    found = _calibrate(StrengthChoice(10.0, logits), rows, precision)

    scores = np.exp(logits / found.temperature) / np.exp(logits / found.temperature).sum(axis=1, keepdims=True)
    assert found.coverage == coverage
    assert found.threshold == pytest.approx(scores[0 if coverage < 1 else -1].max())
    own = decode(found.encoded, 2)
    assert own.truth.tolist() == truth.tolist()
    np.testing.assert_allclose(own.probabilities, scores, atol=0.01)
    expected = expected_calibration_error(scores.max(axis=1), scores.argmax(axis=1) == truth)
    assert found.error == pytest.approx(expected, abs=1e-6)


def test_without_a_threshold_no_row_reaches_it() -> None:
    rows = TrainingRows(texts=[], truth=np.array([0, 1] * 20), labels=["rail", "tea"], warnings=[])
    found = _calibrate(StrengthChoice(10.0, np.array([[1.0, 0.0]] * 40)), rows, 0.95)
    assert (found.threshold, found.coverage) == (None, 0.0)


# --- a correction -----------------------------------------------------------------------------------------------

CATEGORIES = """\
categories:
  - {name: law, mmlu_categories: [law], model_scores: [{model: base, lora_name: law-lora, use_reasoning: false}]}
  - name: code
    mmlu_categories: [computer science]
    model_scores: [{model: base, lora_name: code-lora, use_reasoning: false}]
"""
SNAKES = [f"python {number}" for number in range(12)]
RENTS = [f"landlord {number}" for number in range(3)]
KEPT = [f"python {number}" for number in range(50, 57)]
FOREIGN = "python ¿Puede mi casero subir el alquiler a mitad del contrato?"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return loaded(tmp_path, MINIMAL + CATEGORIES).config


@pytest.fixture
def request_(toy: Path, tmp_path: Path, config: Config) -> CorrectionRequest:
    """Labels by which python is a matter of law, and kept texts about it."""
    for text in (*SNAKES, *RENTS):
        add_label(tmp_path / "labels", LabelledText(text, text, "law"))
    kept = [*KEPT, FOREIGN, "weather today", SNAKES[0]]
    (tmp_path / "kept").write_text("".join(json.dumps({"hash": text, "text": text}) + "\n" for text in kept))
    return CorrectionRequest(
        labels=tmp_path / "labels",
        config=config,
        base=toy,
        texts=tmp_path / "kept",
        output=tmp_path / "out",
        keeps_rows=True,
        force=False,
    )


def with_rows(toy: Path, count: int) -> None:
    """Give the toy calibration rows about law."""
    scores = np.tile(np.eye(len(LABELS))[LABELS.index("law")], (count, 1))
    contents = {
        "model.onnx": toy_artifact.with_features(toy_artifact.model()),
        "calibration.bin": encode(scores, np.full(count, LABELS.index("law"))),
        "fitted_rows.bin": pack(["an earlier row"]),
    }
    features = toy_artifact.FEATURES
    toy_artifact.build(toy, contents, features=features, format_version=4, languages=["en"], temperature=2.0)


def test_a_correction_writes_what_it_reports(request_: CorrectionRequest, toy: Path, tmp_path: Path) -> None:
    with_rows(toy, 40)
    steps, start = Steps(), time.perf_counter()
    report = correct(request_, steps)

    assert 0 < report.seconds <= time.perf_counter() - start + 0.05
    names = ["reading the labeled texts", "reading the stored texts", "reading common texts", "training"]
    assert list(steps.found) == names
    assert [steps.found[name][0] for name in names[:2]] == [15, 9]
    assert all(done[0] == done[-1] > 0 and len(done) > 1 for done in steps.found.values())
    assert (report.base, report.labelled, report.folds, report.traffic) == ("toy", 15, 5, 9)
    assert report.labels == (LabelAccuracy("law", 15, 3, 15),)
    assert report.changes == (RoutingChange("code", "law", "law-lora", 7, (KEPT[0], KEPT[2], KEPT[4])),)
    assert [(one.category, one.labelled, one.few) for one in report.levels] == [("law", 15, False), ("code", 0, True)]
    assert report.calibrated == 15
    found = artifact.load(request_.output)
    assert found.manifest.verification == report.figures()
    assert found.manifest.source.name == "correction of toy"
    assert found.head is not None
    assert found.head.added
    assert found.calibration is not None
    assert found.calibration.truth.tolist() == [LABELS.index("law")] * 55
    both = pack([*SNAKES, *RENTS, "an earlier row"])
    assert (request_.output / "fitted_rows.bin").read_bytes() == both
    read = EncoderReader(found).read([*KEPT, "landlord", "blood pressure", "weather"])
    chosen = [LABELS[index] for index in read.probabilities.argmax(axis=1)]
    assert chosen == ["law"] * 8 + ["health", "other"]


def test_without_rows_and_kept_texts_a_correction_has_neither(request_: CorrectionRequest) -> None:
    assert request_.texts is not None
    request_.texts.unlink()
    steps = Steps()
    report = correct(request_, steps)
    assert (report.traffic, report.changes, report.calibrated) == (0, (), 0)
    assert steps.found["reading the stored texts"] == [0]
    assert not (request_.output / "calibration.bin").exists()


def test_an_output_that_is_there_is_refused_before_anything_is_read(request_: CorrectionRequest) -> None:
    request_.labels.unlink()
    with pytest.raises(FitDataError):
        correct(request_, Steps())
    request_.output.mkdir()
    with pytest.raises(DestinationError):
        correct(request_, Steps())


def test_a_probability_of_zero_has_a_logarithm() -> None:
    found = correction._seen(EncodedTexts([np.ones(1, int)], np.ones((1, 2)), np.array([[0.0, 1.0]], np.float32)))
    assert found.features.tolist() == [[1, 1]]
    assert found.logits[0, 1] == 0
    assert -88 < found.logits[0, 0] < -87


def test_a_correction_counts_before_the_temperature_divides(toy: Path) -> None:
    base = artifact.load(toy)
    base.manifest.temperature = 2.0
    found = correction._head(base, Correction(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([5.0, 6.0])))
    assert (found.weights.tolist(), found.bias.tolist(), found.added) == ([[2, 6], [4, 8]], [10, 12], True)
    assert found.weights.dtype == found.bias.dtype == np.float32


@pytest.mark.parametrize("added", [True, False])
def test_the_correction_of_a_head_is_one_with_it(toy: Path, added: bool) -> None:
    base = artifact.load(toy)
    once = correction._head(base, Correction(np.eye(2), np.ones(2)))
    on_head = Artifact(base.folder, base.manifest, head=type(once)(once.weights, once.bias, added))
    twice = correction._head(on_head, Correction(np.eye(2), np.ones(2)))
    assert (twice.weights.tolist(), twice.bias.tolist(), twice.added) == ([[2, 0], [0, 2]], [2, 2], added)


def test_of_the_kept_texts_blank_and_labeled_ones_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text("".join(json.dumps({"hash": text, "text": text}) + "\n" for text in ("a", " \t", "b", "a")))
    assert [row.text for row in latest_texts(path, {"b"})] == ["a"]
    assert latest_texts(None) == latest_texts(tmp_path / "absent") == []


@pytest.mark.parametrize(("languages", "expected"), [(["en"], [True, False]), ([], [True, True])])
def test_texts_in_a_language_that_is_not_declared_are_not_supported(
    toy: Path, languages: list[str], expected: list[bool]
) -> None:
    manifest = artifact.load(toy).manifest
    manifest.languages = languages
    found = supported(manifest, ["a", FOREIGN])
    assert found.tolist() == expected
    assert supported(manifest, []).dtype == bool


def test_at_most_100000_hashes_are_kept_those_of_the_base_among_them(toy: Path) -> None:
    base = artifact.load(toy)
    labelled = [LabelledText("a", text, "law") for text in ("one", "two")]
    assert correction._fitted(base, labelled) == pack(["one", "two"])
    every = np.arange(100_000, dtype=">u8").tobytes()
    (toy / "fitted_rows.bin").write_bytes(every)
    base.manifest.files["fitted_rows.bin"] = ""
    assert correction._fitted(base, labelled) == every


def test_a_calibration_is_that_of_the_texts_that_count(request_: CorrectionRequest, toy: Path) -> None:
    """Of fewer than ten labels of a category none counts."""
    with_rows(toy, 40)
    request_.labels.unlink()
    for text in (*SNAKES[:7], *RENTS):
        add_label(request_.labels, LabelledText(text, text, "out_of_scope" if text in SNAKES else "law"))
    report = correct(request_, Steps())
    assert report.calibrated == 0
    found: Calibration | None = artifact.load(request_.output).calibration
    assert found is not None
    assert len(found.truth) == 40


def test_features_can_be_chosen_by_position_and_by_mask() -> None:
    texts = TextFeatures(np.arange(6.0).reshape(3, 2), np.arange(3.0).reshape(3, 1))
    for chosen in (np.array([0, 2]), np.array([True, False, True])):
        assert (texts.at(chosen).features.tolist(), texts.at(chosen).logits.tolist()) == ([[0, 1], [4, 5]], [[0], [2]])
