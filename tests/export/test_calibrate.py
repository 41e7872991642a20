"""Temperature and suggested threshold."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from safetensors.torch import load_file, save_file

from pointsman.classify import artifact
from pointsman.classify.calibration import decode
from pointsman.classify.engine import Engine, softmax
from pointsman.classify.tokenizer import TextWindow, Tokenizer
from pointsman.evaluation.calibration import negative_log_likelihood
from pointsman_export.export.calibrate import calibrate
from pointsman_export.export.main import main
from pointsman_export.export.texts import BUILT_IN
from support.checkpoint import LABELS

Rows = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]
SURER = 3.0


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Logits [2000, 4] of a model that says what it knows, and labels drawn by its own probabilities."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (2000, 4)).astype(np.float32)
    truth = [random.choice(4, p=row / row.sum()) for row in softmax(logits).astype(np.float64)]
    return logits, np.array(truth)


def test_an_overconfident_model_is_cooled(rows: Rows) -> None:
    """Logits that are three times too large get three as their temperature; NLL and calibration error fall."""
    logits, truth = rows

    found = calibrate(logits * np.float32(SURER), truth, 0.9)

    assert found.temperature == pytest.approx(SURER, rel=0.1)
    assert found.nll[1] < found.nll[0]
    assert found.ece[1] < 0.03 < found.ece[0]


@pytest.mark.parametrize("precision", [0.7, 0.8, 0.95])
def test_the_threshold_has_the_precision_that_was_asked_for(rows: Rows, precision: float) -> None:
    """Of the rows whose probability reaches it; it is short enough to copy into a config."""
    logits, truth = rows

    found = calibrate(logits, truth, precision)

    assert found.threshold is not None
    assert found.threshold == round(found.threshold, 4)
    taken = softmax(logits / found.temperature).max(axis=1) >= found.threshold
    assert (logits.argmax(axis=1) == truth)[taken].mean() == pytest.approx(found.reached)
    assert found.coverage == taken.mean()
    assert found.reached is not None
    assert precision <= found.reached < precision + 0.02


def test_no_threshold_is_suggested_where_none_has_the_precision(rows: Rows) -> None:
    """Rather than one that nothing reaches."""
    logits, _ = rows

    found = calibrate(logits, logits.argmin(axis=1), 0.9)

    assert (found.threshold, found.coverage, found.reached) == (None, None, None)
    assert "none suggested" in found.threshold_line()


def test_rows_of_no_label_count_for_the_threshold_alone(rows: Rows) -> None:
    """Each is wrong whatever its score is; they say nothing of the temperature, and go into the artifact."""
    logits, truth = rows
    some, outside = truth.copy(), np.arange(len(truth)) % 10 == 0
    some[outside] = -1

    alone, found = calibrate(logits[~outside], truth[~outside], 0.8), calibrate(logits, some, 0.8)

    assert (found.temperature, found.nll, found.ece) == (alone.temperature, alone.nll, alone.ece)
    assert alone.threshold is not None
    assert found.threshold is not None
    assert found.threshold > alone.threshold
    assert (decode(found.encoded, 4).truth == -1).sum() == outside.sum()


def test_calibration_reaches_the_artifact(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model that is too sure: the manifest has a temperature over one, the service's scores on the file are less sure
    and likelier than without it, and the threshold has its precision there. The rows judge int8, too, and their scores
    are in the artifact."""
    tensors = load_file(copy / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        tensors[name] *= SURER
    save_file(tensors, copy / "model.safetensors")
    wrong = 5  # every fifth label is not what the model learned
    truth = np.array([(index + (index % wrong == 0)) % len(LABELS) for index in range(len(BUILT_IN))])
    path, folder = tmp_path / "rows.jsonl", tmp_path / "out"
    pairs = zip(BUILT_IN, truth, strict=True)
    path.write_text("".join(json.dumps({"text": text, "label": LABELS[label]}) + "\n" for text, label in pairs))

    code = main([str(copy), "-o", str(folder), "--calibrate", str(path), "--precision", "0.75", "--max-drop", "0.02"])

    assert code == 0
    loaded = artifact.load(folder)
    prompts = [item.ids for item in Tokenizer(loaded.tokenizer_path).encode(BUILT_IN, TextWindow(512, 0.5))]
    uncalibrated = artifact.Artifact(folder, msgspec.structs.replace(loaded.manifest, temperature=1.0))
    before, after = (Engine(each, ["cpu"]).run(prompts) for each in (uncalibrated, loaded))
    rows = loaded.calibration
    assert rows is not None
    assert rows.truth.tolist() == truth.tolist()
    assert abs(rows.probabilities - after).max() < 0.01
    threshold = loaded.manifest.suggested_threshold
    assert loaded.manifest.temperature > 1
    assert (after.max(axis=1) < before.max(axis=1)).all()
    assert negative_log_likelihood(np.log(after), truth) < negative_log_likelihood(np.log(before), truth)
    assert threshold is not None
    taken = after.max(axis=1) >= threshold
    assert (after.argmax(axis=1) == truth)[taken].mean() >= 0.75
    found = loaded.manifest.verification
    assert found["calibration"]["rows"] == found["accuracy"]["rows"] == len(BUILT_IN)
    assert found["calibration"]["source"] == found["accuracy"]["source"] == "rows.jsonl"
    assert found["calibration"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found["calibration"]["nll"]["after"] == pytest.approx(negative_log_likelihood(np.log(after), truth), 1e-3)
    assert found["calibration"]["threshold"]["coverage"] == pytest.approx(taken.mean())
    out = capsys.readouterr().out
    assert "123 rows (rows.jsonl), temperature " in out
    assert f"threshold   {threshold:g}: " in out


def test_rows_with_probabilities_are_calibrated_on_by_these(copy: Path, tmp_path: Path) -> None:
    """Not by those of the graph, which may have been trained on the rows; nor is a graph judged by them."""
    path, folder = tmp_path / "rows.jsonl", tmp_path / "out"
    random = np.random.default_rng(1)
    logits = random.normal(0, 2, (len(BUILT_IN), len(LABELS))).astype(np.float32)
    given = softmax(logits)
    cooled = softmax(logits / np.float32(SURER)).astype(np.float64)
    truth = [random.choice(len(LABELS), p=row / row.sum()) for row in cooled]
    rows = [
        {"text": text, "label": LABELS[label], "probabilities": dict(zip(LABELS, map(float, row), strict=True))}
        for text, label, row in zip(BUILT_IN, truth, given, strict=True)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    assert main([str(copy), "-o", str(folder), "--calibrate", str(path)]) == 0

    loaded = artifact.load(folder)
    assert loaded.manifest.verification["accuracy"] is None
    temperature = loaded.manifest.temperature
    assert temperature == pytest.approx(SURER, rel=0.4)
    source = loaded.manifest.verification["calibration"]["source"]
    assert source == "rows.jsonl, by the probabilities in its rows"
    assert loaded.calibration is not None
    assert abs(loaded.calibration.probabilities - softmax(logits / np.float32(temperature))).max() < 0.01
