"""Run the steps of a correction, in order."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime

from pointsman.classify import artifact
from pointsman.classify.calibration import Calibration, encode
from pointsman.classify.engine import Engine
from pointsman.classify.language import LanguageGate
from pointsman.classify.manifest import CALIBRATION, FORMAT_VERSION, MODEL, ORDINARY, TOKENIZER, Manifest, WeightsSource
from pointsman.classify.tokenizer import Ids, TextWindow, Tokenizer
from pointsman.config.model import Config
from pointsman.evaluation.fitted_rows import FITTED_ROWS, pack
from pointsman.evaluation.metrics import Bools, Floats
from pointsman.evaluation.scheme import CategoryScheme
from pointsman.improve.labels_file import LabelledText
from pointsman.improve.texts_file import TextRecord
from pointsman.lru import Lru
from pointsman.store.rotated_file import rows
from pointsman_export.common import destination, session
from pointsman_export.common.answers import hashes, write_manifest
from pointsman_export.common.base import load_base
from pointsman_export.common.errors import ValuesError
from pointsman_export.common.features import features_name
from pointsman_export.correct import onnx_file, training
from pointsman_export.correct.labels import allowed_labels, read
from pointsman_export.correct.levels import added, counted, levels, own_rows, with_labelled
from pointsman_export.correct.report import CorrectionReport, changes, judged, right, right_by_fold
from pointsman_export.correct.training import Correction, FeatureScaler, TextFeatures, softmax
from pointsman_export.export.texts import BUILT_IN
from pointsman_export.fit.progress import Progress

MAX_TRAFFIC_ROWS = 5_000
"""The number of latest stored texts that are read."""
VALUES_TOLERANCE = 1e-3
_SERVED = 32
"""Number of texts that the daemon's own engine is tested on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionRequest:
    """The options of the command line; `texts` is the file of stored texts, or None."""

    labels: Path
    config: Config
    base: Path
    texts: Path | None
    output: Path
    force: bool


def correct(request: CorrectionRequest, progress: Progress) -> CorrectionReport:
    """Write the artifact and return the report; raises ExportError or CannotStart. An error leaves nothing behind."""
    start = time.perf_counter()
    destination.check(request.output, force=request.force)
    labelled = read(request.labels)
    base = load_base(request.base)
    allowed, groups = allowed_labels(request.config, base.manifest.labels, labelled, request.labels)
    traffic = _traffic(request.texts, labelled)
    reader = _EncoderReader(base, progress)
    ours = reader.read("reading the labeled texts", [one.text for one in labelled])
    theirs = reader.read("reading the stored texts", [row.text for row in traffic])
    common = reader.read("reading common texts", list(BUILT_IN))
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
    known = _supported(base.manifest, [one.text for one in labelled])
    passing = _supported(base.manifest, [row.text for row in traffic])

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
        output = _write(reader, base, correction, after, built)
        (built / FITTED_ROWS).write_bytes(_fitted(base, labelled))
        report = msgspec.structs.replace(report, seconds=round(time.perf_counter() - start, 1))
        write_manifest(built, _manifest(base, output, report, built))
        _check_served(built, reader.prompts(ours), softmax(correction.corrected(ours)))
        destination.publish(built, request.output, force=request.force)
    return report


class _EncoderReader:
    """A reader of texts with the base's encoder."""

    def __init__(self, base: artifact.Artifact, progress: Progress) -> None:
        self.model = base.model_path.read_bytes()
        graph = onnx_file.read_graph(self.model)
        self.features = features_name(graph.nodes, graph.weights, graph.outputs[0] if graph.outputs else "")
        self._base = base
        self._progress = progress
        self._session = session.open_session(onnx_file.with_output(self.model, self.features))
        self._tokenizer = Tokenizer(base.tokenizer_path)
        self._read: dict[int, list[Ids]] = {}

    def read(self, step: str, texts: list[str]) -> TextFeatures:
        """Return the features and logits of texts; there may be none."""
        manifest = self._base.manifest
        window = TextWindow.even(manifest.max_tokens)
        prompts = [one.ids for one in self._tokenizer.encode([window.cut_text(text) for text in texts], window)]
        if not prompts:
            return TextFeatures(
                np.empty((0, self._width()), np.float32), np.empty((0, len(manifest.labels)), np.float32)
            )
        outputs = (self.features, manifest.output)
        progress = self._progress.step(step, len(prompts))
        features, logits = session.run(self._session, outputs, prompts, progress, for_gpu=manifest.target == "gpu")
        found = TextFeatures(features, logits / manifest.temperature)
        self._read[id(found)] = prompts
        return found

    def prompts(self, texts: TextFeatures) -> list[Ids]:
        """Return the tokens of texts that were read."""
        return self._read[id(texts)]

    def _width(self) -> int:
        prompt = self._tokenizer.encode(["a"], TextWindow.even(self._base.manifest.max_tokens))[0].ids
        (found,) = session.run(self._session, [self.features], [prompt], lambda _: None)
        return int(found.shape[1])


def _traffic(path: Path | None, labelled: Sequence[LabelledText]) -> list[TextRecord]:
    """Return the latest stored texts without the labeled ones, each once."""
    if path is None:
        return []
    latest: Lru[str, TextRecord] = Lru(MAX_TRAFFIC_ROWS)
    seen = {one.hash for one in labelled}
    try:
        for row in rows(path, TextRecord):
            if row.hash not in seen and row.text.strip():
                latest.put(row.hash, row)
    except FileNotFoundError:
        return []
    return [row for _, row in latest.items()]


def _supported(manifest: Manifest, texts: list[str]) -> Bools:
    gate = LanguageGate(manifest.languages) if manifest.languages else None
    return np.array([gate is None or gate.judge(text).supported for text in texts], dtype=bool)


def _write(
    reader: _EncoderReader, base: artifact.Artifact, correction: Correction, rows: Calibration | None, built: Path
) -> str:
    """Write the graph, the calibration rows, and the unchanged files; return the name of the output."""
    temperature = base.manifest.temperature  # the logits were divided by it
    weights = (correction.weights * temperature).astype(np.float32)
    bias = (correction.bias * temperature).astype(np.float32)
    model, output = onnx_file.with_correction(reader.model, reader.features, base.manifest.output, weights, bias)
    (built / MODEL).write_bytes(model)
    for name in {TOKENIZER, ORDINARY} & base.manifest.files.keys():
        shutil.copyfile(base.folder / name, built / name)
    if rows is not None:
        (built / CALIBRATION).write_bytes(encode(rows.probabilities, rows.truth))
    return output


def _fitted(base: artifact.Artifact, labelled: Sequence[LabelledText]) -> bytes:
    """Return the hashes of the labeled texts, and of those of the base."""
    mine = pack(one.text for one in labelled)
    theirs = (base.folder / FITTED_ROWS).read_bytes() if FITTED_ROWS in base.manifest.files else b""
    every = {both[start : start + 8] for both in (mine, theirs) for start in range(0, len(both), 8)}
    return b"".join(sorted(every)[:100_000])


def _manifest(base: artifact.Artifact, output: str, report: CorrectionReport, built: Path) -> Manifest:
    return msgspec.structs.replace(
        base.manifest,
        format_version=FORMAT_VERSION,
        output=output,
        source=WeightsSource(name=f"correction of {base.manifest.source.name}", sha256=base.manifest.files[MODEL]),
        training=None,
        files=hashes(built),
        verification=report.figures(),
        versions={"numpy": np.__version__, "onnxruntime": onnxruntime.__version__},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _check_served(built: Path, prompts: Sequence[Ids], expected: Floats) -> None:
    """Check that the daemon's loader accepts the folder and that its engine gives the corrected scores.

    Raises ArtifactError or ValuesError.
    """
    some = slice(0, _SERVED)
    found = Engine(artifact.load(built), ["cpu"]).run(prompts[some])
    difference = float(np.abs(found - expected[some]).max())
    if not difference <= VALUES_TOLERANCE:  # a NaN fails, too
        raise ValuesError(
            f"the written graph's scores differ by {difference:.1e} from the correction's, allowed is "
            f"{VALUES_TOLERANCE:.0e}; fit on another base"
        )
