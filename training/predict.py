"""Run a classifier on texts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from training.batches import BATCH_TOKENS, MAX_TEXT_TOKENS, batches, tokenize
from training.data import LABELS
from training.figures import Floats


def predict(model: Any, tokenizer: Any, texts: Sequence[str]) -> Floats:
    """Return the probabilities [n, labels] of `texts`."""
    ids = tokenize(tokenizer, texts, MAX_TEXT_TOKENS)
    found = np.empty((len(ids), len(LABELS)), np.float32)
    model.eval()
    for chosen in batches([len(one) for one in ids], random.Random(0), 2 * BATCH_TOKENS):  # noqa: S311
        inputs = tokenizer.pad({"input_ids": [ids[i] for i in chosen]}, return_tensors="pt")
        with torch.inference_mode():
            found[chosen] = model(**inputs).logits.softmax(-1).numpy()
    return found
