"""Report the measurements of an export: as numbers in the manifest, as a table for people."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pointsman_export.common.shares import percent, points
from pointsman_export.export.accuracy import Accuracy
from pointsman_export.export.agreement import LabelAgreement
from pointsman_export.export.calibrate import CalibrationResult
from pointsman_export.export.fidelity import Fidelity
from pointsman_export.export.latency import RUNS
from pointsman_export.export.selection import Selection
from pointsman_export.export.verify import tolerance

_CLEARLY = 1.05
"""A ratio of two latencies beyond the noise of the measurement."""
_COULD_COMPARE = "is installed and was not measured; export with --target openvino to compare both on this host"


@dataclass(frozen=True, slots=True)
class BaselineComparison:
    """The results of the int8 graph that ONNX Runtime would run instead of the one for OpenVINO.

    `error` is a share of the logits' spread, `agreeing` the number of texts that keep the float graph's label (None
    without labels), and `more_ms` the latency of both by threads, if more than one, number of tokens, and graph.
    """

    error: float
    agreeing: int | None
    more_ms: dict[int, dict[int, dict[str, float]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """The measurements of an export; differences are of logits, or of features as a share of the largest one.

    `output` says what the graph gives. A classifier has `agreement`, an encoder without a head `fidelity`.
    The keys of the mappings are `float` and `precision`, which is that of the shipped graph. `values` has no `int8`,
    and neither has `batch` if all prompts of a run share one activation scale. `padding` is None if nothing is padded,
    `selection` if nothing is int8. `latency_ms` is by number of tokens, then graph, and empty for a GPU. `provider`
    runs the shipped graph. `latency_ms` of `int8` is that of the `rival` of a graph for OpenVINO, on one thread as the
    others. `could_compare` tells that this host has OpenVINO, but no comparison was requested.
    """

    target: str
    precision: str
    provider: str
    output: str
    max_tokens: int
    level: str
    activations: str
    inputs: list[str]
    values: dict[str, float]
    batch: dict[str, float]
    padding: dict[str, float] | None
    selection: Selection | None
    rival: BaselineComparison | None
    agreement: LabelAgreement | None
    fidelity: Fidelity | None
    texts: str
    texts_sha256: str | None
    gate: float
    accuracy: Accuracy | None
    labelled: str | None
    max_drop: float
    calibration: CalibrationResult | None
    calibrated_on: str | None
    calibration_sha256: str | None
    latency_ms: dict[int, dict[str, float]]
    cpu: str
    bytes: dict[str, int]
    could_compare: bool = False

    def figures(self) -> dict[str, Any]:
        """Return the manifest's `verification`."""
        source = {"source": self.texts, "sha256": self.texts_sha256}
        scales = None if self.selection is None or self.rival is not None else self.activations
        return {
            "graph": {"level": self.level, "activation_scales": scales},
            "provider": self.provider,
            "values": _differences(self.values),
            "batch": _differences(self.batch),
            "padding": self.padding and _differences(self.padding),
            "agreement": self.agreement
            and {
                "texts": self.agreement.texts,
                "agreeing": self.agreement.agreeing,
                "share": self.agreement.share,
                "gate": self.gate,
                **source,
                **({} if self.rival is None else {"onnxruntime_agreeing": self.rival.agreeing}),
            },
            "features": self.fidelity and {**self.fidelity.figures(), **source},
            "logit_error": self.selection
            and {
                "texts": self.selection.texts,
                "share": self.selection.error,
                "all_int8": self.selection.int8_error,
                "bound": self.selection.bound,
                **({} if self.rival is None else {"onnxruntime": self.rival.error}),
            },
            "float_layers": self.selection and self.selection.float_layers,
            "accuracy": self._accuracy(),
            "calibration": self.calibration
            and {
                "source": self.calibrated_on,
                "sha256": self.calibration_sha256,
                **self.calibration.figures(),
            },
            "latency_ms": {
                "cpu": self.cpu,
                "threads": 1,
                "runs": RUNS,
                "median_by_tokens": self.latency_ms,
                **({} if self.rival is None else {"on_more_threads": self.rival.more_ms}),
            },
            "bytes": self.bytes,
        }

    def table(self) -> str:
        """Format one line per check or measurement."""
        rows = [
            ("graph", f"{self.level}, {self._kind()}"),
            ("interface", f"{', '.join(self.inputs)} -> {self.output}, up to {self.max_tokens} tokens"),
            ("values", _moves(self.values, "is within", " of torch")),
            ("batch", _moves(self.batch, "moves by")),
            *([("padding", _moves(self.padding, "moves by"))] if self.padding else []),
            *([("int8", _layers(self.selection, "features" if self.fidelity else "logits"))] if self.selection else []),
            *([("agreement", self._agreement(self.agreement))] if self.agreement else []),
            *([("features", f"{self.fidelity} ({self.fidelity.texts} texts, {self.texts})")] if self.fidelity else []),
            *self._labelled_rows(),
            *((f"{tokens} tokens", self._speed(medians)) for tokens, medians in self.latency_ms.items()),
            *([("measured on", f"{self.cpu}, 1 thread")] if self.latency_ms else []),
            *self._comparison(),
            *([("OpenVINO", _COULD_COMPARE)] if self.could_compare else []),
            ("size", ", ".join(f"{name} {count / 1e6:.1f} MB" for name, count in self.bytes.items())),
        ]
        return "\n".join(f"  {name:<12}{value}" for name, value in rows)

    def _accuracy(self) -> dict[str, Any] | None:
        if self.accuracy is None:
            return None
        return {
            "source": self.labelled,
            "rows": self.accuracy.rows.total(),
            "float": self.accuracy.of_float,
            self.precision: self.accuracy.of_shipped,
            "drop": self.accuracy.drop,
            "max_drop": self.max_drop,
        }

    def _labelled_rows(self) -> Iterator[tuple[str, str]]:
        if found := self.accuracy:
            both = f"float {percent(found.of_float)}, {self.precision} {percent(found.of_shipped)}"
            drop = f"drop {points(found.drop)}, allowed {points(self.max_drop)}"
            yield "accuracy", f"{both} of {found.rows.total()} rows ({self.labelled}): {drop}"
        if self.calibration:
            yield (
                "calibration",
                f"{self.calibration.rows} rows ({self.calibrated_on}), {self.calibration.scores_line()}",
            )
            yield "threshold", self.calibration.threshold_line()

    def _kind(self) -> str:
        if self.selection is None:
            return f"{self.precision} for a GPU, proved on {self.provider}"
        if self.rival is not None:
            return f"{self.precision} for OpenVINO"
        return f"a scale for each {self.activations} of activations"

    def _agreement(self, found: LabelAgreement) -> str:
        line = (
            f"{found.agreeing} of {found.texts} texts ({self.texts}) keep their label: {percent(found.share)}, "
            f"gate {percent(self.gate)}"
        )
        return line if found.agreeing == found.texts else f"{line}; {found.worst()}"

    def _speed(self, medians: dict[str, float]) -> str:
        one, other = medians["float"], medians[self.precision]
        line = f"float {one:.1f} ms, {self.precision} {other:.1f} ms ({one / other:.1f} times faster)"
        return line if self.rival is None else f"{line}, int8 on ONNX Runtime {medians['int8']:.1f} ms"

    def _comparison(self) -> Iterator[tuple[str, str]]:
        """Tell which engine is faster on this host, by threads, and the loss of fidelity by each."""
        if self.rival is None or self.selection is None:
            return
        ratios = {
            threads: {tokens: medians["int8"] / medians[self.precision] for tokens, medians in by_tokens.items()}
            for threads, by_tokens in {1: self.latency_ms, **self.rival.more_ms}.items()
        }
        yield "faster here", faster({threads: list(by_tokens.values()) for threads, by_tokens in ratios.items()})
        for threads, by_tokens in ratios.items():
            speeds = ", ".join(f"{ratio:.2f} at {tokens} tokens" for tokens, ratio in by_tokens.items())
            yield "OpenVINO", f"speed-up over ONNX Runtime {_on(threads)}: {speeds}"
        yield "error", f"{_percents(self.selection.error)}, on ONNX Runtime {_percents(self.rival.error)}"
        if found := self.agreement:
            yield "labels", f"{found.agreeing} of {found.texts} as in float, on ONNX Runtime {self.rival.agreeing}"


def faster(ratios: Mapping[int, Collection[float]]) -> str:
    """Name the engine that is clearly faster at every length; `ratios` are OpenVINO's speed-ups by threads."""
    found = {threads: _faster(some) for threads, some in ratios.items()}
    engines = ", ".join(f"{_on(threads)} {engine}" for threads, engine in found.items())
    return f"{engines}; export without --target openvino" if set(found.values()) == {"ONNX Runtime"} else engines


def _faster(ratios: Collection[float]) -> str:
    if min(ratios) >= _CLEARLY:
        return "OpenVINO"
    if max(ratios) <= 1 / _CLEARLY:
        return "ONNX Runtime"
    return f"neither by {_CLEARLY - 1:.0%} at every length"


def _on(threads: int) -> str:
    return f"on {threads} thread{'s' * (threads > 1)}"


def _differences(found: dict[str, float]) -> dict[str, Any]:
    return {"max_difference": found, "tolerance": {name: tolerance(name) for name in found}}


def _moves(found: dict[str, float], verb: str, of: str = "") -> str:
    return ", ".join(f"{name} {verb} {value:.1e}{of} (allowed {tolerance(name):.0e})" for name, value in found.items())


def _layers(found: Selection, output: str) -> str:
    moved = f"moves the {output} by {_percents(found.int8_error)} of their spread (allowed {_percents(found.bound)})"
    if not found.float_layers:
        return f"in all {found.layers} layers {moved}; none stays in float"
    return (
        f"in all {found.layers} layers {moved}, {_percents(found.error)} with {len(found.float_layers)} in float: "
        f"{', '.join(found.float_layers)}"
    )


def _percents(share: float) -> str:
    return f"{share * 100:.2f} %"
