"""Write and read `calibration.bin`: an artifact's calibration rows, from which any category's threshold is fitted.

A row is the index of its true label (32 bits, little-endian; -1 for none) and a byte for the probability p of each
label. The byte is an angle, p = sin²(byte / 255 · π/2): its steps are 0.00004 near 0 and 1 and up to 0.006 between,
less than a few rows more or less move a threshold by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

NO_LABEL = -1
"""The label of a row that has none of the classifier's."""
MAX_CALIBRATION_ROWS = 4000
MAX_CALIBRATION_BYTES = 1 << 20
"""At 4,000 rows this is enough for 258 labels; with more labels there are fewer rows."""
_STEP = np.pi / 2 / 255

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]


class BadCalibration(Exception):
    """The rows cannot be used; the message says what is wrong with them."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Rows that the classifier was not trained on: probabilities [rows, labels] and true labels' indices [rows].

    The index may be NO_LABEL.
    """

    probabilities: Floats
    truth: Ints


def encode(probabilities: Floats, truth: Ints) -> bytes:
    """Return the file's content; if there are too many rows, evenly spaced ones."""
    form = _form(probabilities.shape[1])
    count = min(len(truth), MAX_CALIBRATION_ROWS, MAX_CALIBRATION_BYTES // form.itemsize)
    indices = np.linspace(0, len(truth) - 1, count).astype(int)
    rows = np.empty(count, form)
    rows["truth"] = truth[indices]
    rows["angles"] = (np.arcsin(np.sqrt(probabilities[indices].clip(0, 1))) / _STEP).round()
    return rows.tobytes()


def decode(data: bytes, labels: int) -> Calibration:
    """Return the rows in a file's content; raises BadCalibration."""
    form = _form(labels)
    count, rest = divmod(len(data), form.itemsize)
    if rest or not 1 <= count <= MAX_CALIBRATION_ROWS:
        raise BadCalibration(
            f"{len(data):,} bytes are not 1 to {MAX_CALIBRATION_ROWS:,} rows of {form.itemsize} bytes, as for {labels} "
            "labels"
        )
    rows = np.frombuffer(data, form)
    truth, probabilities = rows["truth"].astype(np.int64), np.sin(rows["angles"] * _STEP) ** 2
    if (unknown := (truth < NO_LABEL) | (truth >= labels)).any():
        raise BadCalibration(f"row {unknown.argmax()} has the label {truth[unknown][0]} of {labels}")
    sums = probabilities.sum(axis=1, keepdims=True)
    # Half a step changes a probability by at most √p · step + step² / 4, and the square roots sum up to √labels.
    if (wrong := abs(sums - 1) > _STEP * labels**0.5 + labels * _STEP**2 / 4).any():
        raise BadCalibration(f"row {wrong.argmax()} has probabilities that do not sum to 1")
    return Calibration(probabilities / sums, truth)


def _form(labels: int) -> np.dtype[Any]:
    return np.dtype([("truth", "<i4"), ("angles", "u1", (labels,))])
