"""Look up rotary position embeddings in tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointsman_export.export.graph.writer import GraphWriter


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary position embeddings for heads of `width`, in texts of up to `positions` tokens."""

    theta: float
    width: int
    positions: int

    def look_up(self, writer: GraphWriter, kind: type[np.floating]) -> list[str]:
        """Add cosines and sines of the feed's positions, of type `kind`: [tokens, half the width] each.

        The angles are computed in float32 as transformers does, so that those of far positions are equal to the last
        bit.
        """
        half = self.width // 2
        frequencies = 1 / np.float32(self.theta) ** (np.arange(half, dtype=np.float32) / np.float32(half))
        angles = np.arange(self.positions, dtype=np.float32)[:, None] * frequencies
        return [
            writer.op("Gather", writer.constant(f"rope/{self.theta!r}/{name}", table.astype(kind)), "position_ids")
            for name, table in (("cos", np.cos(angles)), ("sin", np.sin(angles)))
        ]
