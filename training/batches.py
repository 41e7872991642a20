"""Turn texts into batches of token ids."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

BATCH_TOKENS = 2048
"""Tokens of a batch, padding included."""
MAX_TEXT_TOKENS = 256


def tokenize(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """Return the ids of each text: of a long one the head and the tail, as the service reads it."""
    found: list[list[int]] = tokenizer(list(texts), verbose=False)["input_ids"]
    head = max_tokens // 2
    return [ids if len(ids) <= max_tokens else ids[:head] + ids[head - max_tokens :] for ids in found]


def batches(lengths: Sequence[int], rng: random.Random, max_tokens: int = BATCH_TOKENS) -> list[list[int]]:
    """Return shuffled batches of indices into `lengths`, similar in length; padded, each has at most `max_tokens`."""
    # Without noise, the same texts would share a batch in every epoch.
    order = sorted(range(len(lengths)), key=lambda i: lengths[i] * rng.uniform(0.9, 1.1))
    found: list[list[int]] = []
    batch: list[int] = []
    longest = 0
    for i in order:
        longest = max(longest, lengths[i])
        if batch and longest * (len(batch) + 1) > max_tokens:
            found.append(batch)
            batch, longest = [], lengths[i]
        batch.append(i)
    if batch:
        found.append(batch)
    rng.shuffle(found)
    return found
