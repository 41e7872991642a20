"""Write and read `ordinary.bin`: the encoder's features of ordinary requests, as 16-bit floats, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

MAX_ORDINARY_BYTES = 4 << 20
FORM = np.dtype("<f2")

Floats = npt.NDArray[np.floating[Any]]


class BadOrdinary(Exception):
    """The features cannot be used; the message says what is wrong with them."""


def encode(features: Floats) -> bytes:
    """Return the file's content for features of shape [requests, width]."""
    return features.astype(FORM).tobytes()


def decode(data: bytes, width: int) -> Floats:
    """Return the features in a file's content, float32, shape [requests, width]; raises BadOrdinary."""
    count, rest = divmod(len(data), width * FORM.itemsize)
    if rest or not count:
        raise BadOrdinary(f"{len(data):,} bytes are no rows of {width} numbers of 16 bits")
    features = np.frombuffer(data, FORM).reshape(count, width).astype(np.float32)
    if not np.isfinite(features).all():
        raise BadOrdinary("a number is NaN or infinite")
    return features
