"""Run the steps of a fit, in order."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from pointsman.classify import artifact, head_rows
from pointsman.classify.calibration import encode
from pointsman.classify.engine import softmax
from pointsman.classify.linear_head import LinearHead
from pointsman.classify.manifest import CALIBRATION
from pointsman.evaluation.calibration import fit_temperature
from pointsman.evaluation.fitted_rows import FITTED_ROWS, pack
from pointsman.evaluation.metrics import expected_calibration_error
from pointsman.routing.thresholds import suggest_threshold
from pointsman_export.common import destination, heads
from pointsman_export.common.encoder import EncoderReader
from pointsman_export.fit.data import TrainingRows, check_languages, read_rows, write_rows
from pointsman_export.fit.head import fit_heads
from pointsman_export.fit.progress import Progress
from pointsman_export.fit.report import FitReport
from pointsman_export.fit.validation import FOLDS, StrengthChoice, choose, cross_validate


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRequest:
    """The options of the command line.

    `data` has labeled rows, `base` is a folder or `builtin`, `precision` is that of the suggested threshold, and
    `languages` None means the base's. With `keeps_rows` the rows are beside the head.
    """

    data: Path
    base: str
    output: Path
    precision: float
    languages: list[str] | None
    keeps_rows: bool
    force: bool


@dataclass(frozen=True, slots=True)
class _HeadCalibration:
    """The temperature, its effect on the rows that were left out, and these rows for the artifact."""

    encoded: bytes
    temperature: float
    error: float
    threshold: float | None
    coverage: float


def fit(request: FitRequest, progress: Progress) -> FitReport:
    """Write the artifact and return the report; raises ExportError, CannotStart or ArtifactError.

    After an error nothing is left behind.
    """
    start = time.perf_counter()
    destination.check(request.output, force=request.force)
    rows = read_rows(request.data)
    base = artifact.load(artifact.resolve(request.base, Path.cwd()))
    languages = base.manifest.languages if request.languages is None else request.languages
    check_languages(request.data, rows.texts, languages)
    texts = EncoderReader(base).read(rows.texts, progress.step("reading the texts", len(rows.texts)))
    labels = len(rows.labels)
    trained = progress.step("training", 1)
    choice = choose(texts.features, rows.truth, labels)
    fitted = fit_heads(texts.features, rows.truth, labels, [choice.strength])[0]
    trained(1)
    validated = progress.step("cross-validating", FOLDS)
    validation = cross_validate(texts.features, rows.truth, labels, choice.strength, validated)
    calibration = _calibrate(choice, rows, request.precision)
    report = FitReport(
        rows=rows,
        predicted=validation.predicted,
        by_half=validation.by_half,
        folds=FOLDS,
        strength=choice.strength,
        temperature=calibration.temperature,
        calibration_error=calibration.error,
        precision=request.precision,
        threshold=calibration.threshold,
        coverage=calibration.coverage,
        data=request.data.name,
        data_sha256=artifact.sha256(request.data),
        seconds=time.perf_counter() - start,
    )
    manifest = msgspec.structs.replace(
        base.manifest,
        labels=rows.labels,
        languages=languages,
        temperature=calibration.temperature,
        suggested_threshold=calibration.threshold,
        verification=report.figures(),
    )
    with destination.workspace(request.output) as work:
        built = work / "artifact"
        built.mkdir()
        (built / FITTED_ROWS).write_bytes(pack(rows.texts))
        (built / CALIBRATION).write_bytes(calibration.encoded)
        head = LinearHead(fitted.weights.astype(np.float32), fitted.bias.astype(np.float32), added=False)
        found = heads.write_head(built, base, head, manifest, "fit")
        scores = softmax((fitted.logits(texts.features) / calibration.temperature).astype(np.float32))
        heads.prove(found, texts.prompts, scores)
        if request.keeps_rows:
            write_rows(built / head_rows.ROWS, rows)
        destination.publish(built, request.output, force=request.force)
    return report


def _calibrate(choice: StrengthChoice, rows: TrainingRows, precision: float) -> _HeadCalibration:
    """Calibrate on the logits of left-out rows under the chosen strength, which have the scale of the head's logits."""
    temperature = fit_temperature(choice.logits, rows.truth)
    scores = softmax((choice.logits / temperature).astype(np.float32))
    confidence, correct = scores.max(axis=1), scores.argmax(axis=1) == rows.truth
    threshold = suggest_threshold(confidence, correct, precision)
    coverage = 0.0 if threshold is None else float((confidence >= threshold).mean())
    encoded = encode(scores, rows.truth)
    return _HeadCalibration(encoded, temperature, expected_calibration_error(confidence, correct), threshold, coverage)
