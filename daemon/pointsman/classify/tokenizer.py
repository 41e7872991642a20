"""Tokenize text, truncated to what the classifier reads: the head and the tail of a long text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers

from pointsman.errors import ArtifactError

Ids = npt.NDArray[np.int64]

# Tokenizing is linear in the text, and most of a 200 kB prompt would be discarded afterwards, so the text is truncated
# first. English has 4 to 5 characters a token; 12 leaves a margin.
CHARACTERS_PER_TOKEN = 12


@dataclass(frozen=True, slots=True)
class EncodedText:
    """Token ids of shape [tokens], special tokens included; `cut` if they do not cover the whole text."""

    ids: Ids
    cut: bool


@dataclass(frozen=True, slots=True)
class TextWindow:
    """The part of a text that is read: `max_tokens` in all, of which `head_share` from its head."""

    max_tokens: int
    head_share: float

    @classmethod
    def even(cls, max_tokens: int) -> TextWindow:
        """Return the window with equal head and tail, in which artifacts are made and proven."""
        return cls(max_tokens, 0.5)

    def cut_text(self, text: str) -> str:
        """Return at most `max_tokens * CHARACTERS_PER_TOKEN` characters, from head and tail."""
        limit = self.max_tokens * CHARACTERS_PER_TOKEN
        if len(text) <= limit:
            return text
        head = round(limit * self.head_share)
        return f"{text[:head]} {text[len(text) - (limit - head) :]}"


class Tokenizer:
    """The artifact's tokenizer."""

    def __init__(self, path: Path) -> None:
        """Load the tokenizer; raises ArtifactError."""
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:
            raise ArtifactError(f"{path}: not a tokenizer ({error}); export the classifier again") from error
        if not self._tokenizer.get_vocab_size():
            raise ArtifactError(f"{path}: has an empty vocabulary; export the classifier again")
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def encode(self, texts: list[str], window: TextWindow) -> list[EncodedText]:
        """Tokenize the texts, and return the tokens of each inside the window.

        `encode_batch` releases the GIL, while `encode` would hold it for 15 ms on 5,000 words.
        """
        return [_fit(item, window) for item in self._tokenizer.encode_batch(texts)]


def _fit(encoding: tokenizers.Encoding, window: TextWindow) -> EncodedText:
    ids = np.asarray(encoding.ids, dtype=np.int64)
    surplus = len(ids) - window.max_tokens
    if surplus <= 0:
        return EncodedText(ids, cut=False)
    special = encoding.special_tokens_mask
    leading, trailing = special.index(0), special[::-1].index(0)
    room = window.max_tokens - leading - trailing
    start = leading + round(room * window.head_share)
    return EncodedText(np.delete(ids, slice(start, start + surplus)), cut=True)
