"""Draw the arm of an experiment; pure.

Each experiment derives a number of its own from a conversation's random number, so the experiments are independent, and
the draw is stable while shares change: a share that grows includes everyone who was in it before.
"""

from __future__ import annotations

import struct
from hashlib import blake2b

_NUMBER = struct.Struct("<d")


def drawn(seed: float, experiment: str) -> float:
    """Return the position in [0, 1) of a conversation in an experiment; `seed` is the conversation's number."""
    name = experiment.encode("utf-8", "surrogatepass")
    digest = blake2b(_NUMBER.pack(seed) + name, digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) * 2.0**-53
