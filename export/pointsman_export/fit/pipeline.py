"""Run the steps of a fit, in order."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime

from pointsman.classify import artifact
from pointsman.classify.calibration import encode
from pointsman.classify.engine import Engine, softmax
from pointsman.classify.manifest import CALIBRATION, FORMAT_VERSION, MODEL, TOKENIZER, Manifest, WeightsSource
from pointsman.classify.tokenizer import Ids, TextWindow, Tokenizer
from pointsman.evaluation.calibration import fit_temperature
from pointsman.evaluation.fitted_rows import FITTED_ROWS, pack
from pointsman.evaluation.metrics import Floats, expected_calibration_error
from pointsman.routing.thresholds import suggest_threshold
from pointsman_export.common import destination
from pointsman_export.common.answers import hashes, write_manifest
from pointsman_export.common.base import load_base
from pointsman_export.common.errors import ValuesError
from pointsman_export.common.layers import with_layers
from pointsman_export.fit import graph as graphs
from pointsman_export.fit.data import TrainingRows, check_languages, read_descriptions, read_rows
from pointsman_export.fit.describe import DescriptionReport, describing_head
from pointsman_export.fit.head import Head, fit_heads
from pointsman_export.fit.progress import Progress
from pointsman_export.fit.report import VALUES_TOLERANCE, FitReport
from pointsman_export.fit.validation import FOLDS, StrengthChoice, Validation, choose, cross_validate

Report = FitReport | DescriptionReport

_SERVED = 32
"""Number of prompts that the daemon's own engine is tested on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRequest:
    """The options of the command line.

    `data` has labeled rows or, if `described`, sentences that describe the labels. `base` is a folder or `builtin`;
    `precision` is that of the suggested threshold; `languages` None means the base's.
    """

    data: Path
    described: bool
    base: str
    output: Path
    precision: float
    languages: list[str] | None
    force: bool


@dataclass(frozen=True, slots=True)
class _HeadCalibration:
    """The temperature, its effect on the rows that were left out, and these rows for the artifact, or None."""

    encoded: bytes | None
    temperature: float
    error: float
    threshold: float | None
    coverage: float


_UNCALIBRATED = _HeadCalibration(encoded=None, temperature=1.0, error=math.nan, threshold=None, coverage=0.0)


def fit(request: FitRequest, progress: Progress) -> Report:
    """Write the artifact and return the report; raises ExportError or ArtifactError.

    After an error nothing is left behind.
    """
    start = time.perf_counter()
    destination.check(request.output, force=request.force)
    rows = read_descriptions(request.data) if request.described else read_rows(request.data)
    base = load_base(artifact.resolve(request.base, Path.cwd()))
    languages = base.manifest.languages if request.languages is None else request.languages
    check_languages(request.data, rows.texts, languages)
    graph = graphs.load_graph(base.model_path)
    if base.manifest.features is None:
        graph, features_name = with_layers(graph, graphs.features_name(graph, graph.graph.output[0].name))
    else:
        features_name = base.manifest.features.output
    prompts = _tokenize(base, rows.texts)
    encoder = graphs.encoder(graph, features_name)
    run = partial(graphs.run, for_gpu=base.manifest.target == "gpu")
    features = run(encoder, prompts, progress.step("reading the texts", len(prompts)))
    head, calibration, make_report = (_describe if request.described else _train)(request, rows, features, progress)
    fitted = graphs.with_head(graph, features_name, head, base.manifest.output)
    with destination.workspace(request.output) as work:
        built = work / "artifact"
        built.mkdir()
        onnx.save(fitted, built / MODEL)
        shutil.copyfile(base.tokenizer_path, built / TOKENIZER)
        (built / FITTED_ROWS).write_bytes(pack(rows.texts))
        if calibration.encoded is not None:
            (built / CALIBRATION).write_bytes(calibration.encoded)
        proof = progress.step("proving the graph", len(prompts))
        difference = _difference(run(graphs.load_graph(built / MODEL), prompts, proof), head.logits(features))
        report = make_report(difference=difference, seconds=time.perf_counter() - start)
        manifest = _manifest(base, rows, languages, calibration, report, built)
        write_manifest(built, manifest)
        _check_served(built, prompts, head.logits(features))
        destination.publish(built, request.output, force=request.force)
    return report


def _train(
    request: FitRequest, rows: TrainingRows, features: Floats, progress: Progress
) -> tuple[Head, _HeadCalibration, Callable[..., Report]]:
    labels = len(rows.labels)
    trained = progress.step("training", 1)
    choice = choose(features, rows.truth, labels)
    head = fit_heads(features, rows.truth, labels, [choice.strength])[0]
    trained(1)
    validated = progress.step("cross-validating", FOLDS)
    validation = cross_validate(features, rows.truth, labels, choice.strength, validated)
    calibration = _calibrate(choice, rows, request.precision)
    return head, calibration, partial(_report, request, rows, validation, choice, calibration)


def _describe(
    request: FitRequest, rows: TrainingRows, features: Floats, _: Progress
) -> tuple[Head, _HeadCalibration, Callable[..., Report]]:
    head = describing_head(features, rows.truth, len(rows.labels))
    data_sha256 = artifact.sha256(request.data)
    return head, _UNCALIBRATED, partial(DescriptionReport, rows=rows, data=request.data.name, data_sha256=data_sha256)


def _tokenize(base: artifact.Artifact, texts: list[str]) -> list[Ids]:
    window = TextWindow.even(base.manifest.max_tokens)
    encoded = Tokenizer(base.tokenizer_path).encode([window.cut_text(text) for text in texts], window)
    return [item.ids for item in encoded]


def _calibrate(choice: StrengthChoice, rows: TrainingRows, precision: float) -> _HeadCalibration:
    """Calibrate on the logits of left-out rows under the chosen strength, which have the scale of the head's logits."""
    temperature = fit_temperature(choice.logits, rows.truth)
    scores = softmax((choice.logits / temperature).astype(np.float32))
    confidence, correct = scores.max(axis=1), scores.argmax(axis=1) == rows.truth
    threshold = suggest_threshold(confidence, correct, precision)
    coverage = 0.0 if threshold is None else float((confidence >= threshold).mean())
    encoded = encode(scores, rows.truth)
    return _HeadCalibration(encoded, temperature, expected_calibration_error(confidence, correct), threshold, coverage)


def _difference(found: Floats, expected: Floats) -> float:
    """Return the largest difference of two arrays of logits; raises ValuesError above the tolerance."""
    difference = float(np.abs(found - expected).max())
    if not difference <= VALUES_TOLERANCE:  # a NaN fails, too
        raise ValuesError(
            f"the written graph's logits differ by {difference:.1e} from the fitted head's, allowed is "
            f"{VALUES_TOLERANCE:.0e}; fit on another base"
        )
    return difference


def _check_served(built: Path, prompts: Sequence[Ids], logits: Floats) -> None:
    """Check that the daemon's loader accepts the folder and that its engine gives the head's scores.

    Raises ArtifactError or ValuesError.
    """
    served = artifact.load(built)
    some = slice(0, _SERVED)
    _difference(
        Engine(served, ["cpu"]).run(prompts[some]),
        softmax((logits[some] / served.manifest.temperature).astype(np.float32)),
    )


def _report(
    request: FitRequest,
    rows: TrainingRows,
    validation: Validation,
    choice: StrengthChoice,
    calibration: _HeadCalibration,
    difference: float,
    seconds: float,
) -> FitReport:
    return FitReport(
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
        difference=difference,
        data=request.data.name,
        data_sha256=artifact.sha256(request.data),
        seconds=seconds,
    )


def _manifest(
    base: artifact.Artifact,
    rows: TrainingRows,
    languages: list[str],
    calibration: _HeadCalibration,
    report: Report,
    built: Path,
) -> Manifest:
    """Return the base's manifest with the new labels, calibration, source and files."""
    return msgspec.structs.replace(
        base.manifest,
        format_version=FORMAT_VERSION,
        labels=rows.labels,
        features=None,
        languages=languages,
        temperature=calibration.temperature,
        suggested_threshold=calibration.threshold,
        source=WeightsSource(name=f"fit of {base.manifest.source.name}", sha256=base.manifest.files[MODEL]),
        training=None,
        files=hashes(built),
        verification=report.figures(),
        versions={
            "numpy": np.__version__,
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
