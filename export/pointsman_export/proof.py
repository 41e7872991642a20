"""All checks of a pair of graphs, and the figures that they give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pointsman.classify.tokenize import Ids
from pointsman_export import latency, verify
from pointsman_export.accuracy import Accuracy, check_accuracy
from pointsman_export.agreement import check_agreement
from pointsman_export.calibrate import Calibration, calibrate
from pointsman_export.checkpoint import Checkpoint
from pointsman_export.labelled import Labelled
from pointsman_export.report import Report
from pointsman_export.runtime import Graph, Logits, alone
from pointsman_export.selection import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What the graphs are tried on: tokenized texts, where they come from, and the share that has to agree; rows on
    which int8 may lose `max_drop` of accuracy; rows to calibrate on, and the threshold's precision."""

    prompts: Sequence[Ids]
    origin: str
    gate: float
    labelled: Labelled | None
    max_drop: float
    calibration: Labelled | None
    precision: float
    max_tokens: int


def prove(
    checkpoint: Checkpoint,
    model: Any,
    paths: dict[str, Path],
    trial: Trial,
    selection: Selection,
    progress: Callable[[str], None],
) -> Report:
    """Check the graphs in `paths`, `float` and `int8`, against the torch model; raises VerificationError."""
    labels, vocabulary = len(checkpoint.labels), checkpoint.vocabulary
    for path in paths.values():
        verify.check_interface(path, labels)
    graphs = {name: Graph(path) for name, path in paths.items()}
    random = verify.random_prompts(vocabulary, trial.max_tokens)
    progress("comparing the float graph with torch")
    values = verify.check_values(model, graphs["float"], random)
    progress("comparing prompts alone, batched and padded")
    batch = {name: verify.check_batch(graph, name, vocabulary, trial.max_tokens) for name, graph in graphs.items()}
    padding = {name: verify.check_padding(graph, name, random) for name, graph in graphs.items()}
    progress(f"labelling {len(trial.prompts)} texts with both graphs")
    agreement = check_agreement(graphs["float"], graphs["int8"], trial.prompts, checkpoint.labels, trial.gate)
    accuracy, calibration = _on_labelled(graphs, trial, checkpoint.labels, progress)
    progress("measuring the latency of both graphs")
    return Report(
        labels=labels,
        max_tokens=trial.max_tokens,
        values=values,
        batch=batch,
        padding=padding,
        selection=selection,
        agreement=agreement,
        texts=trial.origin,
        gate=trial.gate,
        accuracy=accuracy,
        labelled=trial.labelled.origin if trial.labelled else None,
        max_drop=trial.max_drop,
        calibration=calibration,
        calibrated_on=trial.calibration.origin if trial.calibration else None,
        latency_ms=latency.measure(paths, vocabulary),
        cpu=latency.cpu_model(),
        bytes={name: path.stat().st_size for name, path in paths.items()},
    )


def _on_labelled(
    graphs: dict[str, Graph], trial: Trial, labels: list[str], progress: Callable[[str], None]
) -> tuple[Accuracy | None, Calibration | None]:
    """What was asked for; raises AccuracyError. Rows that serve both are run once."""

    @cache
    def logits(name: str, rows: Labelled) -> Logits:
        return alone(graphs[name], rows.prompts)

    accuracy = calibration = None
    if rows := trial.labelled:
        progress(f"judging both graphs on {len(rows.prompts)} labelled rows")
        accuracy = check_accuracy(logits("float", rows), logits("int8", rows), rows.truth, labels, trial.max_drop)
    if rows := trial.calibration:
        progress(f"calibrating on {len(rows.prompts)} labelled rows")
        calibration = calibrate(logits("int8", rows), rows.truth, trial.precision)
    return accuracy, calibration
