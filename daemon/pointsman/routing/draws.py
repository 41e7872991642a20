"""Draw the arm of an experiment; pure.

A conversation has one random number. Each experiment derives its own from it, so the experiments are independent of
each other, and the draw stays while the shares change: a share that grows keeps those who have been in it.
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
