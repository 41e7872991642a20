"""The result for a text."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from pointsman.classify.heads import ArtifactScores


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations in seconds; all zero for a cache hit."""

    queue: float = 0.0
    tokenize: float = 0.0
    infer: float = 0.0


@dataclass(frozen=True, slots=True)
class Classification:
    """A result: `probabilities` are in label order and sum to 1; `cut` if only head and tail of the text were read.

    Without labels there are no probabilities.
    """

    probabilities: tuple[float, ...]
    described: tuple[float, ...] = field(default=(), kw_only=True)
    """The probabilities of the described categories, and last of nobody; empty if there are none."""
    shadow: ArtifactScores | None = field(default=None, kw_only=True)
    """The scores by the artifact in shadow, if it was read in the same run."""
    tokens: int
    cut: bool
    timing: Timing
    source: str
    """`run`, `hit` (from the cache) or `coalesced` (shared a run with an identical text of the same client)."""
    text_hash: str = ""
    """`text_key` of the part of the text that was read, in hex."""
    language: str | None = None
    """The text's language (ISO 639-1); None if it is not certain, or was not asked for."""
    supported: bool = True
    """False if the text is in a language that the artifact does not declare: the probabilities mean nothing."""

    @property
    def scores(self) -> tuple[float, ...]:
        """Return all probabilities, as a policy takes them."""
        return self.probabilities + self.described


def text_key(read: str, hash_key: bytes = b"") -> bytes:
    """Return a 16-byte BLAKE2b hash, which identifies a text in the log; without a key as releases before 0.2 did."""
    return hashlib.blake2b(as_bytes(read), digest_size=16, key=hash_key).digest()


def as_bytes(text: str) -> bytes:
    """Return a text in UTF-8, with half a surrogate pair as it is."""
    return text.encode("utf-8", "surrogatepass")
