"""Look up rotary position embeddings in tables."""

from __future__ import annotations

import numpy as np

from pointsman_export.export.graph.architecture import Architecture
from pointsman_export.export.graph.writer import Writer

Tables = dict[bool, list[str]]
"""Cosines and sines of a row's positions, [tokens, half the width of a head] each; the key is true for global layers.
"""


def look_up(writer: Writer, form: Architecture, kind: type[np.floating]) -> Tables:
    """Return the tables, of type `kind`, for the positions of the feed."""
    return {True: _rows(writer, form, form.global_theta, kind), False: _rows(writer, form, form.local_theta, kind)}


def _rows(writer: Writer, form: Architecture, theta: float, kind: type[np.floating]) -> list[str]:
    """Compute the angles in float32 as transformers does, so that those of far positions are equal to the last bit."""
    half = form.width // form.heads // 2
    frequencies = 1 / np.float32(theta) ** (np.arange(half, dtype=np.float32) / np.float32(half))
    angles = np.arange(form.positions, dtype=np.float32)[:, None] * frequencies
    return [
        writer.op("Gather", writer.constant(f"rope/{theta!r}/{name}", table.astype(kind)), "position_ids")
        for name, table in (("cos", np.cos(angles)), ("sin", np.sin(angles)))
    ]
