"""Run all checks on a pair of graphs, and collect the figures for the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pointsman.classify.calibration import NO_LABEL
from pointsman.classify.tokenizer import Ids
from pointsman.evaluation.provenance import cpu_model
from pointsman_export.export import latency, verify
from pointsman_export.export.accuracy import Accuracy, check_accuracy
from pointsman_export.export.agreement import LabelAgreement, check_agreement, chosen
from pointsman_export.export.calibrate import CalibrationResult, calibrate
from pointsman_export.export.checkpoint import Checkpoint
from pointsman_export.export.fidelity import check_features
from pointsman_export.export.interface import PADDED
from pointsman_export.export.labelled import LabelledPrompts
from pointsman_export.export.recipe import Recipe
from pointsman_export.export.report import BaselineComparison, ExportReport
from pointsman_export.export.runtime import Logits, OnnxGraph, RunnableGraph, alone
from pointsman_export.export.selection import Selection


@dataclass(frozen=True, slots=True)
class BaselineGraph:
    """The int8 graph that ONNX Runtime would run instead, and its error as a share of the logits' spread."""

    path: Path
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationInputs:
    """The inputs and limits of the checks.

    `prompts` are tokenized texts from `origin`, of which the share `gate` must keep its label; `sha256` is that of the
    file, None for the built-in texts. On the rows of `labelled`, the shipped graph may lose `max_drop` of accuracy. It
    is calibrated on the rows of `calibration`, or on the logits that come with them, with a threshold that has
    `precision`.
    """

    target: str
    prompts: Sequence[Ids]
    origin: str
    sha256: str | None
    gate: float
    labelled: LabelledPrompts | None
    max_drop: float
    calibration: LabelledPrompts | None
    precision: float
    max_tokens: int


def prove(
    checkpoint: Checkpoint,
    model: Any,
    recipe: Recipe,
    paths: dict[str, Path],
    inputs: VerificationInputs,
    selection: Selection | None,
    rival: BaselineGraph | None,
    progress: Callable[[str], None],
) -> ExportReport:
    """Check the graphs in `paths`, `float` and the shipped one, and compare with `rival`; raises VerificationError.

    A graph for a GPU runs on CUDA if this host has it, else on the CPU. The CPU shows the effect of rounding the
    weights to float16, but not of rounding activations, since it computes those in float32.
    """
    labels, vocabulary = checkpoint.labels, checkpoint.vocabulary
    for path in paths.values():
        verify.check_interface(path, recipe.interface, checkpoint.output, checkpoint.columns)
    _, shipped = paths
    on_gpu = inputs.target == "gpu"
    opened: RunnableGraph = OnnxGraph(paths[shipped], for_gpu=True) if on_gpu else recipe.open_int8(paths[shipped])
    graphs: dict[str, RunnableGraph] = {"float": OnnxGraph(paths["float"]), shipped: opened}
    random = verify.random_prompts(vocabulary, inputs.max_tokens, checkpoint.padding)
    progress("comparing with torch")
    scale = 1.0 if labels else verify.largest(model, random)
    exact = [name for name in graphs if selection is None or name != shipped]
    values = {name: verify.check_values(model, graphs[name], name, random, scale) for name in exact}
    progress("comparing prompts alone and together")
    alike = verify.prompts_of_one_length(vocabulary, inputs.max_tokens)
    mates = alike if recipe.interface is PADDED else [*random, *alike]
    together = {name: graph for name, graph in graphs.items() if not graph.runs_alone}
    batch = {
        name: verify.check_batch(graph, name, mates, scale)
        for name, graph in together.items()
        if name in exact or recipe.activations == "token"
    }
    padding = None
    if recipe.interface is PADDED:
        padding = {name: verify.check_padding(graph, name, random, scale) for name, graph in together.items()}
    agreement = fidelity = None
    if labels:
        progress(f"labelling {len(inputs.prompts)} texts with both graphs")
        agreement = check_agreement(graphs["float"], graphs[shipped], shipped, inputs.prompts, labels, inputs.gate)
    else:
        progress(f"comparing the features of {len(inputs.prompts)} texts")
        fidelity = check_features(model, graphs[shipped], shipped, inputs.prompts)
    accuracy, calibration = _on_labelled(graphs, shipped, inputs, labels, progress)
    if not on_gpu:
        progress("measuring the latency of the graphs")
    latencies = {} if on_gpu else _latencies(recipe, paths, rival, vocabulary)
    compared = None
    if rival is not None:
        compared = _compared(recipe, paths[shipped], rival, agreement, inputs.prompts, checkpoint)
    return ExportReport(
        target=inputs.target,
        precision=shipped,
        provider=graphs[shipped].provider,
        output=f"{checkpoint.columns} {'labels' if labels else 'features'}",
        max_tokens=inputs.max_tokens,
        level=recipe.level,
        activations=recipe.activations,
        inputs=recipe.interface.names,
        values=values,
        batch=batch,
        padding=padding,
        selection=selection,
        rival=compared,
        agreement=agreement,
        fidelity=fidelity,
        texts=inputs.origin,
        texts_sha256=inputs.sha256,
        gate=inputs.gate,
        accuracy=accuracy,
        labelled=inputs.labelled.origin if inputs.labelled else None,
        max_drop=inputs.max_drop,
        calibration=calibration,
        calibrated_on=_calibrated_on(inputs.calibration),
        calibration_sha256=inputs.calibration.sha256 if inputs.calibration else None,
        latency_ms=latencies,
        cpu=cpu_model(),
        bytes={name: path.stat().st_size for name, path in paths.items()},
    )


def _latencies(
    recipe: Recipe, paths: dict[str, Path], rival: BaselineGraph | None, vocabulary: int
) -> dict[int, dict[str, float]]:
    _, shipped = paths
    graphs: dict[str, RunnableGraph] = {
        "float": OnnxGraph(paths["float"], threads=1),
        shipped: recipe.open_int8(paths[shipped], threads=1),
    }
    if rival is None:
        return latency.measure(graphs, vocabulary)
    return latency.measure(graphs | {"int8": OnnxGraph(rival.path, threads=1)}, vocabulary, latency.MORE_TOKENS)


def _compared(
    recipe: Recipe,
    shipped: Path,
    rival: BaselineGraph,
    agreement: LabelAgreement | None,
    prompts: Sequence[Ids],
    checkpoint: Checkpoint,
) -> BaselineComparison:
    """Label the texts with the rival, too, and measure both engines on two threads if there are two cores."""
    agreeing = None
    if agreement is not None:
        found = chosen(OnnxGraph(rival.path), prompts, checkpoint.labels)
        agreeing = LabelAgreement(agreement.expected, found).agreeing
    more_ms = {
        threads: latency.measure(
            {
                recipe.int8_precision: recipe.open_int8(shipped, threads),
                "int8": OnnxGraph(rival.path, threads),
            },
            checkpoint.vocabulary,
            latency.MORE_TOKENS,
        )
        for threads in latency.thread_counts()[1:]
    }
    return BaselineComparison(rival.error, agreeing, more_ms)


def _calibrated_on(rows: LabelledPrompts | None) -> str | None:
    if rows is None:
        return None
    return rows.origin if rows.logits is None else f"{rows.origin}, by the probabilities in its rows"


def _on_labelled(
    graphs: dict[str, RunnableGraph],
    shipped: str,
    inputs: VerificationInputs,
    labels: list[str],
    progress: Callable[[str], None],
) -> tuple[Accuracy | None, CalibrationResult | None]:
    """Check the accuracy and calibrate, each if requested; raises AccuracyError.

    Rows that serve both purposes are run once.
    """

    @cache
    def logits(name: str, rows: LabelledPrompts) -> Logits:
        return alone(graphs[name], rows.prompts)

    accuracy = calibration = None
    if rows := inputs.labelled:
        progress(f"judging both graphs on {len(rows.prompts)} labeled rows")
        known = rows.truth != NO_LABEL
        both = logits("float", rows)[known], logits(shipped, rows)[known]
        accuracy = check_accuracy(*both, shipped, rows.truth[known], labels, inputs.max_drop)
    if rows := inputs.calibration:
        progress(f"calibrating on {len(rows.prompts)} labeled rows")
        found = logits(shipped, rows) if rows.logits is None else rows.logits
        calibration = calibrate(found, rows.truth, inputs.precision)
    return accuracy, calibration
