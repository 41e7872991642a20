"""Make a head from descriptions of the labels alone.

A label's weights are the direction of its sentences' features, so a text gets the label whose description points to
where the text is. With one or two sentences a label, this was better than the regression of `head` on the sentences
(benchmarks/results/fit.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pointsman.evaluation.metrics import Floats, Ints
from pointsman_export.fit.data import TrainingRows
from pointsman_export.fit.head import Head
from pointsman_export.fit.report import VALUES_TOLERANCE

EXPECTED = (0.74, 0.80)
"""The range of the measured accuracy, with one sentence for each label."""
_SHARPNESS = 22.0
"""Logit of a text of usual length in the exact direction of a label.

The scores are then about as high as they are right: the calibration error is 0.08 to 0.21.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescriptionReport:
    """The facts about a head made from descriptions.

    `difference` is the largest difference between the written graph's logits and the head's.
    """

    rows: TrainingRows
    difference: float
    data: str
    data_sha256: str
    seconds: float

    def figures(self) -> dict[str, Any]:
        """Return the manifest's `verification`: numbers and labels, none of the texts."""
        return {
            "descriptions": {"sentences": len(self.rows.texts), "expected_accuracy": list(EXPECTED)},
            "values": {"max_difference": self.difference, "tolerance": VALUES_TOLERANCE},
            "data": {"name": self.data, "sha256": self.data_sha256},
            "warnings": self.rows.warnings,
        }

    def table(self) -> str:
        """Format one line per result, then the warnings."""
        lowest, highest = EXPECTED
        lines = [
            ("data", f"{len(self.rows.texts)} sentences of {self.data} that describe {len(self.rows.labels)} labels"),
            ("accuracy", f"not measured; expect {lowest:.2f} to {highest:.2f} for prompts that belong to a label"),
            ("rows", "tell more: with ten or more labeled prompts for each label, --data also measures the accuracy"),
            ("threshold", "none suggested, since it needs rows"),
            ("graph", f"within {self.difference:.1e} of the head (allowed {VALUES_TOLERANCE:.0e})"),
            ("time", f"{self.seconds:.1f} s"),
        ]
        warnings = [f"\nwarning: {warning}" for warning in self.rows.warnings]
        return "\n".join([*(f"  {name:<12}{value}" for name, value in lines), *warnings])


def describing_head(features: Floats, truth: Ints, labels: int) -> Head:
    """Return the head of sentences' features, shape [sentences, width]; `truth` is each one's label."""
    lengths = np.linalg.norm(features.astype(np.float64), axis=1)
    units = features / lengths[:, None]
    directions = np.stack([units[truth == label].mean(axis=0) for label in range(labels)])
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    return Head(directions * (_SHARPNESS / lengths.mean()), np.zeros(labels))
