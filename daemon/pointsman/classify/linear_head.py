"""A linear layer on the encoder's features, in place of a classifier's own scores or added to them: `head.bin`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_HEAD_BYTES = 64 << 20

Floats = npt.NDArray[np.floating[Any]]


class BadHead(Exception):
    """The head cannot be used; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearHead:
    """The weights [labels, width] and the bias [labels], float32; `added` if they correct the classifier's scores."""

    weights: Floats
    bias: Floats
    added: bool

    def logits(self, features: Floats, own: Floats) -> Floats:
        """Return the logits [texts, labels] of features [texts, width]; `own` are the classifier's, used if `added`."""
        found: Floats = features @ self.weights.T + self.bias
        return own + found if self.added else found


def encode(head: LinearHead) -> bytes:
    """Return the file's content: for each label its weights, then its bias, as 32-bit floats."""
    return np.column_stack([head.weights, head.bias]).astype("<f4").tobytes()


def decode(data: bytes, labels: int, width: int, *, added: bool) -> LinearHead:
    """Return the head in a file's content; raises BadHead."""
    if len(data) != labels * (width + 1) * 4:
        raise BadHead(f"{len(data):,} bytes are not {width} weights and a bias for each of {labels} labels")
    values = np.frombuffer(data, "<f4").reshape(labels, width + 1)
    if not np.isfinite(values).all():
        raise BadHead("a weight is NaN or infinite")
    return LinearHead(np.ascontiguousarray(values[:, :-1]), values[:, -1].copy(), added)
