"""What an export measured: for the manifest as numbers, for people as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pointsman_export.accuracy import Accuracy, points
from pointsman_export.agreement import Agreement, percent
from pointsman_export.calibrate import Calibration
from pointsman_export.latency import RUNS
from pointsman_export.selection import Selection
from pointsman_export.verify import INDEPENDENCE_TOLERANCE, VALUES_TOLERANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Differences are of logits; keys of the mappings are `float` and `int8`. `latency_ms` is by tokens, then graph."""

    labels: int
    max_tokens: int
    values: float
    batch: dict[str, float]
    padding: dict[str, float]
    selection: Selection
    agreement: Agreement
    texts: str
    gate: float
    accuracy: Accuracy | None
    labelled: str | None
    max_drop: float
    calibration: Calibration | None
    calibrated_on: str | None
    latency_ms: dict[int, dict[str, float]]
    cpu: str
    bytes: dict[str, int]

    def figures(self) -> dict[str, Any]:
        """The manifest's `verification`."""
        return {
            "values": {"max_difference": self.values, "tolerance": VALUES_TOLERANCE},
            "batch": {"max_difference": self.batch, "tolerance": INDEPENDENCE_TOLERANCE},
            "padding": {"max_difference": self.padding, "tolerance": INDEPENDENCE_TOLERANCE},
            "agreement": {
                "texts": self.agreement.texts,
                "agreeing": self.agreement.agreeing,
                "share": self.agreement.share,
                "gate": self.gate,
                "source": self.texts,
            },
            "logit_error": {
                "texts": self.selection.texts,
                "share": self.selection.error,
                "all_int8": self.selection.int8_error,
                "bound": self.selection.bound,
            },
            "float_layers": self.selection.float_layers,
            "accuracy": self._accuracy(),
            "calibration": self.calibration and {"source": self.calibrated_on, **self.calibration.figures()},
            "latency_ms": {"cpu": self.cpu, "threads": 1, "runs": RUNS, "median_by_tokens": self.latency_ms},
            "bytes": self.bytes,
        }

    def table(self) -> str:
        """One line a check: what was proved, what was measured."""
        rows = [
            ("interface", f"input_ids, attention_mask -> {self.labels} labels, up to {self.max_tokens} tokens"),
            ("values", f"float within {self.values:.1e} of torch (allowed {VALUES_TOLERANCE:.0e})"),
            ("batch", _independence(self.batch)),
            ("padding", _independence(self.padding)),
            ("int8", self._layers()),
            ("agreement", self._agreement()),
            *self._labelled_rows(),
            *((f"{tokens} tokens", _speed(medians)) for tokens, medians in self.latency_ms.items()),
            ("measured on", f"{self.cpu}, 1 thread"),
            ("size", f"float {_size(self.bytes['float'])}, int8 {_size(self.bytes['int8'])}"),
        ]
        return "\n".join(f"  {name:<12}{value}" for name, value in rows)

    def _accuracy(self) -> dict[str, Any] | None:
        if self.accuracy is None:
            return None
        return {
            "source": self.labelled,
            "rows": self.accuracy.rows.total(),
            "float": self.accuracy.of_float,
            "int8": self.accuracy.of_int8,
            "drop": self.accuracy.drop,
            "max_drop": self.max_drop,
        }

    def _labelled_rows(self) -> Iterator[tuple[str, str]]:
        if found := self.accuracy:
            right = f"float {percent(found.of_float)}, int8 {percent(found.of_int8)} of {found.rows.total()} rows"
            drop = f"drop {points(found.drop)}, allowed {points(self.max_drop)}"
            yield "accuracy", f"{right} ({self.labelled}): {drop}"
        if self.calibration:
            yield (
                "calibration",
                f"{self.calibration.rows} rows ({self.calibrated_on}), {self.calibration.scores_line()}",
            )
            yield "threshold", self.calibration.threshold_line()

    def _layers(self) -> str:
        found = self.selection
        moved = f"moves the logits by {_percents(found.int8_error)} of their spread (allowed {_percents(found.bound)})"
        if not found.float_layers:
            return f"in all {found.layers} layers {moved}; none stays in float"
        return (
            f"in all {found.layers} layers {moved}, {_percents(found.error)} with {len(found.float_layers)} in float: "
            f"{', '.join(found.float_layers)}"
        )

    def _agreement(self) -> str:
        found = self.agreement
        line = (
            f"{found.agreeing} of {found.texts} texts ({self.texts}) keep their label: {percent(found.share)}, "
            f"gate {percent(self.gate)}"
        )
        return line if found.agreeing == found.texts else f"{line}; {found.worst()}"


def _independence(differences: dict[str, float]) -> str:
    sides = ", ".join(f"{name} moves by {value:.1e}" for name, value in differences.items())
    return f"{sides} (allowed {INDEPENDENCE_TOLERANCE:.0e})"


def _speed(medians: dict[str, float]) -> str:
    one, other = medians["float"], medians["int8"]
    return f"float {one:.1f} ms, int8 {other:.1f} ms ({one / other:.1f} times faster)"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _percents(share: float) -> str:
    return f"{share * 100:.2f} %"
