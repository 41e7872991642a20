"""Check that the shipped graph of an encoder without a head gives torch's features on real text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pointsman.classify.proof import MAX_LENGTH_CHANGE, MIN_COSINE, compare_features
from pointsman.classify.tokenizer import Ids
from pointsman_export.common.errors import AgreementError
from pointsman_export.export.agreement import REMEDIES
from pointsman_export.export.runtime import RunnableGraph, alone
from pointsman_export.export.verify import torch_logits


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """The least cosine of a text's features to torch's, and the largest change of their length as a share of it."""

    texts: int
    cosine: float
    length_change: float

    def figures(self) -> dict[str, Any]:
        """Return the figures for the manifest."""
        return {
            "texts": self.texts,
            "min_cosine": {"found": self.cosine, "allowed": MIN_COSINE},
            "max_length_change": {"found": self.length_change, "allowed": MAX_LENGTH_CHANGE},
        }

    def __str__(self) -> str:
        return (
            f"to torch's a cosine of {self.cosine:.4f} or more (allowed {MIN_COSINE}), lengths within "
            f"{self.length_change:.2%} (allowed {MAX_LENGTH_CHANGE:.0%})"
        )


def check_features(model: Any, shipped: RunnableGraph, precision: str, prompts: Sequence[Ids]) -> Fidelity:
    """Compare the features of each prompt, run alone; raises AgreementError if one differs too much."""
    expected = np.concatenate([torch_logits(model, [prompt]) for prompt in prompts])
    cosines, changes = compare_features(alone(shipped, prompts), expected)
    found = Fidelity(texts=len(prompts), cosine=float(cosines.min()), length_change=float(changes.max()))
    if not (found.cosine >= MIN_COSINE and found.length_change <= MAX_LENGTH_CHANGE):
        raise AgreementError(
            f"{precision}: the features of {len(prompts)} texts have {found};{REMEDIES[precision]} or take texts like "
            "your own with --texts"
        )
    return found
