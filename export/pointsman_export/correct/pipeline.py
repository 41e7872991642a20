"""Run the steps of a correction, in order."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from pointsman import files
from pointsman.classify import artifact, head_rows
from pointsman.classify.calibration import encode
from pointsman.classify.linear_head import LinearHead
from pointsman.classify.manifest import CALIBRATION
from pointsman.config.model import Config
from pointsman.evaluation.fitted_rows import FITTED_ROWS, pack
from pointsman.evaluation.scheme import CategoryScheme
from pointsman.improve.labels_file import LabelledText
from pointsman.store.rows_file import encoded
from pointsman_export.common import destination, heads
from pointsman_export.common.encoder import EncodedTexts, EncoderReader
from pointsman_export.common.errors import FitDataError
from pointsman_export.common.languages import supported
from pointsman_export.common.stored_texts import latest_texts
from pointsman_export.correct import training
from pointsman_export.correct.labels import allowed_labels, read
from pointsman_export.correct.levels import added, counted, levels, own_rows, with_labelled
from pointsman_export.correct.report import CorrectionReport, changes, judged, right, right_by_fold
from pointsman_export.correct.training import Correction, FeatureScaler, TextFeatures, softmax
from pointsman_export.export.texts import BUILT_IN
from pointsman_export.fit.data import read_rows, write_rows
from pointsman_export.fit.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionRequest:
    """The options of the command line; `texts` is the file of stored texts, or None.

    With `keeps_rows`, the labels are beside the head, and the rows of its base.
    """

    labels: Path
    config: Config
    base: Path
    texts: Path | None
    output: Path
    keeps_rows: bool
    force: bool


def correct(request: CorrectionRequest, progress: Progress) -> CorrectionReport:
    """Write the artifact and return the report; raises ExportError or CannotStart. An error leaves nothing behind."""
    start = time.perf_counter()
    destination.check(request.output, force=request.force)
    labelled = read(request.labels)
    base = artifact.load(request.base)
    if not base.manifest.labels:
        raise FitDataError(f"{request.base}: has no labels to correct; fit a head on it with --data")
    allowed, groups = allowed_labels(request.config, base.manifest.labels, labelled, request.labels)
    traffic = latest_texts(request.texts, {one.hash for one in labelled})
    reader = EncoderReader(base)
    read_texts = reader.read([one.text for one in labelled], progress.step("reading the labeled texts", len(labelled)))
    ours = _seen(read_texts)
    stored = [row.text for row in traffic]
    theirs = _seen(reader.read(stored, progress.step("reading the stored texts", len(stored))))
    common = _seen(reader.read(BUILT_IN, progress.step("reading common texts", len(BUILT_IN))))
    trained = progress.step("training", 1)
    scale = FeatureScaler.of(common.features, theirs.features, ours.features)
    stays = ~training.free(ours, groups, theirs, scale)
    anchors = TextFeatures(
        np.concatenate([common.features, theirs.features[stays]]),
        np.concatenate([common.logits, theirs.logits[stays]]),
    )
    folds = training.folds_of(groups)
    strength, left_out = training.choose(ours, allowed, anchors, folds, scale)
    correction = training.correct(ours, allowed, anchors, strength, scale)
    trained(1)
    labels, unseen = base.manifest.labels, softmax(left_out)
    before, own = base.calibration, own_rows(base)
    counts = counted(request.config, labels, labelled, unseen)
    after = with_labelled(own, unseen[counts], allowed[counts])
    schemes = [CategoryScheme(request.config, labels, rows) for rows in (before, after)]
    known = supported(base.manifest, [one.text for one in labelled])
    passing = supported(base.manifest, [row.text for row in traffic])

    def unjudged(fold: int) -> CategoryScheme:
        """Return the scheme whose thresholds were fitted without the texts of a fold."""
        others = counts & (folds != fold)
        return CategoryScheme(request.config, labels, with_labelled(own, unseen[others], allowed[others]))

    report = CorrectionReport(
        base=base.folder.name,
        labelled=len(labelled),
        labels=judged(
            labelled,
            right(schemes[0], labelled, softmax(ours.logits), known),
            right_by_fold(unjudged, folds, labelled, unseen, known),
        ),
        levels=tuple(levels(request.config, labels, labelled, before, after)),
        calibrated=added(own, int(counts.sum())),
        strength=strength,
        folds=training.FOLDS,
        traffic=len(traffic),
        changes=changes(
            (schemes[0], schemes[1]), traffic, softmax(theirs.logits), softmax(correction.corrected(theirs)), passing
        ),
        seconds=0.0,
    )
    with destination.workspace(request.output) as work:
        built = work / "artifact"
        built.mkdir()
        (built / FITTED_ROWS).write_bytes(_fitted(base, labelled))
        if after is not None:
            (built / CALIBRATION).write_bytes(encode(after.probabilities, after.truth))
        report = msgspec.structs.replace(report, seconds=round(time.perf_counter() - start, 1))
        of_rows = {name: one for name, one in base.manifest.verification.items() if name == "cross_validation"}
        manifest = msgspec.structs.replace(base.manifest, verification=of_rows | report.figures())
        found = heads.write_head(built, base, _head(base, correction), manifest, "correction")
        heads.prove(found, read_texts.prompts, softmax(correction.corrected(ours)).astype(np.float32))
        if request.keeps_rows:
            _keep_rows(built, base, labelled)
        destination.publish(built, request.output, force=request.force)
    return report


def _seen(texts: EncodedTexts) -> TextFeatures:
    """Return what a correction reads; the logarithms of probabilities are logits that differ by a constant a text."""
    return TextFeatures(texts.features, np.log(np.maximum(texts.probabilities, np.finfo(np.float32).tiny)))


def _head(base: artifact.Artifact, correction: Correction) -> LinearHead:
    """Return the correction as a head; that of a head is one with it."""
    temperature = base.manifest.temperature  # the logits were divided by it
    weights, bias = correction.weights.T * temperature, correction.bias * temperature
    if base.head is not None:
        weights, bias = weights + base.head.weights, bias + base.head.bias
    return LinearHead(weights.astype(np.float32), bias.astype(np.float32), base.head is None or base.head.added)


def _keep_rows(built: Path, base: artifact.Artifact, labelled: Sequence[LabelledText]) -> None:
    """Write the labels beside the head, and the rows of its base if they are there."""
    files.write(built / head_rows.LABELS, map(encoded, labelled), replace=False, mode=0o600)
    kept = base.folder / head_rows.ROWS
    if os.access(kept, os.R_OK):  # parsed, so that what root may read reaches nobody else by a link of that name
        write_rows(built / head_rows.ROWS, read_rows(kept))


def _fitted(base: artifact.Artifact, labelled: Sequence[LabelledText]) -> bytes:
    """Return the hashes of the labeled texts, and of those of the base."""
    mine = pack(one.text for one in labelled)
    theirs = (base.folder / FITTED_ROWS).read_bytes() if FITTED_ROWS in base.manifest.files else b""
    every = {both[start : start + 8] for both in (mine, theirs) for start in range(0, len(both), 8)}
    return b"".join(sorted(every)[:100_000])
