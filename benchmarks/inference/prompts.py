"""Create prompts of given lengths."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import NormalDist

import tokenizers

from pointsman_export.export.texts import BUILT_IN

SHORT = (13, 21)
"""Tokens of a short prompt, uniformly distributed; the first word costs about one more, so the mean is 18."""

MIX_MEDIAN, MIX_P95, MIX_LIMIT = 40, 500, 512
BLOCK = 16


def short_lengths(random: random.Random) -> Iterator[int]:
    """Yield the lengths of short chat questions."""
    while True:
        yield random.randint(*SHORT)


def mixed_lengths(random: random.Random) -> Iterator[int]:
    """Yield lognormal lengths, truncated at the limit.

    Every block of 16 has one length from each 16th of the distribution, so that any stretch is a fair sample.
    """
    log_normal = NormalDist(math.log(MIX_MEDIAN), math.log(MIX_P95 / MIX_MEDIAN) / NormalDist().inv_cdf(0.95))
    while True:
        block = [log_normal.inv_cdf((stratum + random.uniform(0.01, 0.99)) / BLOCK) for stratum in range(BLOCK)]
        random.shuffle(block)
        yield from (min(MIX_LIMIT, max(4, round(math.exp(length)))) for length in block)


def random_lengths(random: random.Random) -> Iterator[int]:
    """Yield uniformly distributed lengths up to the limit."""
    while True:
        yield random.randint(4, MIX_LIMIT)


WORKLOADS = {"short": short_lengths, "mix": mixed_lengths, "random": random_lengths}


def make_prompts(tokenizer: Path, workload: str, count: int, seed: int = 0) -> list[str]:
    """Return `count` distinct texts of random words, each as frequent as in prose; special tokens are counted."""
    source = random.Random(seed)  # the same prompts for every server
    words = _CountedWords(tokenizer)
    return [words.text(length, source) for length in islice(WORKLOADS[workload](source), count)]


def count_tokens(tokenizer: Path, texts: list[str]) -> list[int]:
    """Return the tokens of each text including special ones, limited to what the classifier reads."""
    encodings = tokenizers.Tokenizer.from_file(str(tokenizer)).encode_batch(texts)
    return [min(MIX_LIMIT, len(encoding.ids)) for encoding in encodings]


class _CountedWords:
    """Words with their token counts, which add up because a byte-level BPE splits at spaces."""

    def __init__(self, tokenizer: Path) -> None:
        loaded = tokenizers.Tokenizer.from_file(str(tokenizer))
        self._words = [word for text in BUILT_IN for word in text.split() if word.isalpha()]
        encoded = loaded.encode_batch([f" {word}" for word in self._words], add_special_tokens=False)
        self._tokens = [len(encoding) for encoding in encoded]
        self._special = loaded.num_special_tokens_to_add(is_pair=False)

    def text(self, tokens: int, source: random.Random) -> str:
        chosen: list[str] = []
        left = tokens - self._special
        while left > 0:
            index = source.randrange(len(self._words))
            if self._tokens[index] <= left:
                chosen.append(self._words[index])
                left -= self._tokens[index]
        return " ".join(chosen)
