"""Run the steps of an export, in order."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import onnx
import onnxruntime

from pointsman.classify import ordinary
from pointsman.classify.artifact import Artifact, sha256
from pointsman.classify.category_head import MAX_TEXT_TOKENS
from pointsman.classify.manifest import (
    CALIBRATION,
    FORMAT_VERSION,
    MODEL,
    ORDINARY,
    TOKENIZER,
    EncoderFeatures,
    Manifest,
    WeightsSource,
)
from pointsman.classify.openvino_cpu import import_openvino
from pointsman.classify.providers import OPENVINO
from pointsman.classify.runtime import ProviderUnavailable
from pointsman.classify.tokenizer import Ids, TextWindow, Tokenizer
from pointsman_export.common import destination
from pointsman_export.common.answers import hashes, write_manifest
from pointsman_export.common.encoder import EncoderReader
from pointsman_export.common.errors import CheckpointError, LibraryError
from pointsman_export.export.card import unused_card
from pointsman_export.export.checkpoint import Checkpoint, open_checkpoint
from pointsman_export.export.encoder_features import add_features
from pointsman_export.export.graph.linear import Activations
from pointsman_export.export.interface import FEATURES, OUTPUT
from pointsman_export.export.labelled import LabelledPrompts, read_labelled
from pointsman_export.export.proof import BaselineGraph, VerificationInputs, prove
from pointsman_export.export.recipe import OpenVinoRecipe, Recipe, choose_recipe
from pointsman_export.export.report import ExportReport
from pointsman_export.export.selection import quantize_to_max_error, sample
from pointsman_export.export.texts import BUILT_IN, read_texts
from pointsman_export.export.torch_model import load_model
from pointsman_export.export.weight_files import sha256_of_all

DEFAULT_MAX_TOKENS = 512
_LIBRARIES = ("torch", "transformers", "optimum", "optimum-onnx", "onnx")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """The options of the command line.

    `texts` None means the built-in texts, `max_tokens` None the default, `labelled` None the rows of `calibrate` unless
    these have probabilities, and `labels` None that the checkpoint names its labels.
    """

    source: str
    output: Path
    labels: Path | None
    gate: float
    texts: Path | None
    max_error: float
    labelled: Path | None
    max_drop: float
    calibrate: Path | None
    precision: float
    max_tokens: int | None
    languages: list[str]
    force: bool
    target: str
    arithmetic: str
    level: str
    activations: Activations


def export(request: ExportRequest, progress: Callable[[str], None]) -> ExportReport:
    """Write the artifact and return the report; raises ExportError, after which nothing is left behind."""
    destination.check(request.output, force=request.force)
    if request.target == OPENVINO:
        _require_openvino()
    texts = BUILT_IN if request.texts is None else read_texts(request.texts)
    progress(f"checking {request.source}")
    checkpoint = open_checkpoint(request.source, request.labels)
    if not checkpoint.labels:
        _refuse_labels(request)
    inputs = _verification_inputs(checkpoint, request, texts)
    with destination.workspace(request.output) as work:
        built = work / "artifact"
        built.mkdir()
        if request.target == "gpu" and (unused := unused_card()):
            progress(unused)
        progress("exporting the float graph")
        model = load_model(checkpoint)
        recipe: Recipe
        if request.target == OPENVINO:
            recipe = OpenVinoRecipe(checkpoint, model, request.arithmetic)
        else:
            measured = sample(inputs.prompts)
            recipe = choose_recipe(checkpoint, model, request.level, request.activations, measured, progress)
        precision = recipe.gpu_precision if request.target == "gpu" else recipe.int8_precision
        paths = {"float": work / "float.onnx", precision: built / MODEL}
        recipe.write_float(paths["float"])
        selection = rival = None
        if request.target != "gpu":
            progress("quantizing to int8")
            selection = quantize_to_max_error(recipe, model, paths, inputs.prompts, request.max_error, progress)
            if request.target == OPENVINO:
                rival = _rival(checkpoint, request, model, inputs.prompts, work, progress)
        else:
            progress(f"writing the {precision} graph for a GPU")
            recipe.write_gpu(paths[precision])
        report = prove(checkpoint, model, recipe, paths, inputs, selection, rival, progress)
        report = replace(report, could_compare=request.target == "cpu" and _has_openvino())
        progress(f"writing {request.output}")
        shutil.copyfile(checkpoint.tokenizer, built / TOKENIZER)
        if report.calibration is not None:
            (built / CALIBRATION).write_bytes(report.calibration.encoded)
        features = _features(checkpoint, built / MODEL, request.target)
        manifest = _manifest(checkpoint, request, recipe, report, built, features)
        ours = EncoderReader(Artifact(built, manifest)).read(BUILT_IN, max_tokens=MAX_TEXT_TOKENS)
        (built / ORDINARY).write_bytes(ordinary.encode(ours.features))
        write_manifest(built, msgspec.structs.replace(manifest, files=hashes(built)))
        destination.publish(built, request.output, force=request.force)
    return report


def _refuse_labels(request: ExportRequest) -> None:
    """Raise CheckpointError if an option needs labels, for an encoder without a head."""
    given = {"--labels": request.labels, "--labelled": request.labelled, "--calibrate": request.calibrate}
    if unusable := [name for name, value in given.items() if value is not None]:
        raise CheckpointError(
            f"{request.source}: is an encoder without a head, so it has no labels for {unusable[0]}; omit it, and make "
            "a head for your labels with `pointsman fit --base`"
        )


def _features(checkpoint: Checkpoint, model: Path, target: str) -> EncoderFeatures:
    """Return the features that the graph gives; that of a classifier is changed to give them."""
    pooling = checkpoint.architecture.pooling
    if pooling is None:
        return add_features(model, OUTPUT, for_gpu=target == "gpu")
    return EncoderFeatures(output=FEATURES, width=checkpoint.columns, recipe=pooling.recipe)


def _rival(
    checkpoint: Checkpoint,
    request: ExportRequest,
    model: Any,
    prompts: Sequence[Ids],
    work: Path,
    progress: Callable[[str], None],
) -> BaselineGraph:
    """Make the int8 graph of `--target cpu`, to compare with the one for OpenVINO."""
    progress("quantizing to int8 for ONNX Runtime, to compare")
    recipe = choose_recipe(checkpoint, model, request.level, request.activations, sample(prompts), progress)
    paths = {"float": work / "rival-float.onnx", "int8": work / "rival.onnx"}
    recipe.write_float(paths["float"])
    return BaselineGraph(
        paths["int8"], quantize_to_max_error(recipe, model, paths, prompts, request.max_error, progress).error
    )


def _verification_inputs(checkpoint: Checkpoint, request: ExportRequest, texts: list[str]) -> VerificationInputs:
    """Tokenize the texts and rows that the graphs are checked on; raises CheckpointError for too many `max_tokens`."""
    limit = checkpoint.architecture.positions
    max_tokens = request.max_tokens or min(limit, DEFAULT_MAX_TOKENS)
    if max_tokens > limit:
        raise CheckpointError(
            f"{request.source}: was made for at most {limit} tokens, --max-tokens asks for {max_tokens}; ask for less"
        )
    window = TextWindow.even(max_tokens)
    tokenizer = Tokenizer(checkpoint.tokenizer)

    def tokenized(texts: list[str]) -> list[Ids]:
        return [encoded.ids for encoded in tokenizer.encode([window.cut_text(text) for text in texts], window)]

    @cache
    def labelled(path: Path) -> LabelledPrompts:
        rows = read_labelled(path, checkpoint.labels)
        return LabelledPrompts(tokenized(rows.texts), rows.truth, rows.logits, rows.origin, rows.sha256)

    calibration = None if request.calibrate is None else labelled(request.calibrate)
    judged = None if request.labelled is None else labelled(request.labelled)
    if judged is None and calibration is not None and calibration.logits is None:
        judged = calibration
    return VerificationInputs(
        target=request.target,
        prompts=tokenized(texts),
        origin="built-in" if request.texts is None else request.texts.name,
        sha256=None if request.texts is None else sha256(request.texts),
        gate=request.gate,
        labelled=judged,
        max_drop=request.max_drop,
        calibration=calibration,
        precision=request.precision,
        max_tokens=max_tokens,
    )


def _has_openvino() -> bool:
    try:
        import_openvino()
    except ProviderUnavailable:
        return False
    return True


def _require_openvino() -> None:
    try:
        import_openvino()
    except ProviderUnavailable as error:
        raise LibraryError(str(error)) from error


def _manifest(
    checkpoint: Checkpoint,
    request: ExportRequest,
    recipe: Recipe,
    report: ExportReport,
    built: Path,
    features: EncoderFeatures,
) -> Manifest:
    calibration = report.calibration
    opset = onnx.load(built / MODEL, load_external_data=False).opset_import[0].version
    return Manifest(
        format_version=FORMAT_VERSION,
        labels=checkpoint.labels,
        languages=request.languages,
        max_tokens=report.max_tokens,
        inputs=recipe.interface.names,
        output=OUTPUT if checkpoint.labels else "",
        features=features,
        opset=opset,
        precision=report.precision,
        target=request.target,
        temperature=1.0 if calibration is None else calibration.temperature,
        suggested_threshold=None if calibration is None else calibration.threshold,
        source=WeightsSource(name=checkpoint.name, sha256=sha256_of_all(checkpoint.weights)),
        files=hashes(built),
        verification=report.figures(),
        versions={
            **{name: version(name) for name in (*_LIBRARIES, *([OPENVINO] if request.target == OPENVINO else []))},
            "onnxruntime": onnxruntime.__version__,  # of either wheel
        },
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
