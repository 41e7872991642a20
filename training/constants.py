"""`python -m training.constants DATA_DIR CHECKPOINT...`: try other constants of described categories.

Each CHECKPOINT is a run with `--hold-out`: its fleets are routed as the service does at its default threshold, by
descriptions alone and with a few examples, once for each value of a constant, the others as they are. The table shows
the shares of the prompts that get their adapter, and of those of no adapter that get none. A person chooses and writes
the constant into `pointsman.classify.described`.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointsman.classify import described
from pointsman.classify.described import CategoryTexts
from pointsman.routing.policy import MIN_SHARE
from pointsman_export.export.mean_bert import MeanBertForSequenceClassification
from training.adapters import Fleet
from training.batches import batches, tokenize
from training.corpus import load_corpus
from training.held_out import group
from training.model import load_tokenizer, means_of_layers
from training.ordinary import requests

TRIED = {
    "ANGLE_SCALE": (6.0, 8.0, 10.0, 12.0, 15.0, 20.0),
    "ANGLE_MIDDLE": (0.14, 0.18, 0.22, 0.26, 0.30, 0.34),
    "STRENGTH": (5e-4, 1e-3, 2e-3, 4e-3),
    "NOBODY": (0.3, 0.6, 0.9, 1.2, 1.6, 2.0),
    "FEW": (0.0, 0.5, 1.0, 2.0),
}
EXAMPLES = (0, 1, 3, 6)
"""Examples of each adapter; the rest of its prompts is routed."""
THRESHOLD = 0.5
MAX_TOKENS = 128

Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class FleetFeatures:
    """The features of a fleet's texts; `prompts` by adapter."""

    descriptions: Floats
    prompts: list[Floats]
    outside: Floats
    ordinary: Floats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    options = parser.parse_args()
    fleets = [one for path in options.checkpoints for one in features_of(options.data_dir, path)]
    print(f"{'right, kept of':24}" + "".join(f"{count} examples".rjust(16) for count in EXAMPLES))
    for name, values in TRIED.items():
        before = getattr(described, name)
        for value in values:
            setattr(described, name, value)
            cells = (f"{right:.3f}, {kept:.3f}".rjust(16) for right, kept in (shares(fleets, n) for n in EXAMPLES))
            print(f"{name} {value:g}{' (now)' * (value == before)}".ljust(24) + "".join(cells), flush=True)
        setattr(described, name, before)


def features_of(data_dir: Path, checkpoint: Path) -> Iterator[FleetFeatures]:
    """Yield the features of the fleets that a run held out, by its encoder."""
    held_out = group(json.loads((checkpoint / "training.json").read_text())["settings"]["group"])
    encoder = MeanBertForSequenceClassification.from_pretrained(checkpoint).bert.eval()
    tokenizer = load_tokenizer(checkpoint)

    def read(texts: Sequence[str]) -> Floats:
        ids = tokenize(tokenizer, list(texts), MAX_TOKENS)
        found: Floats = np.zeros((len(ids), 2 * encoder.config.hidden_size), np.float32)
        for some in batches([len(one) for one in ids], random.Random(0)):  # noqa: S311
            inputs = tokenizer.pad({"input_ids": [ids[i] for i in some]}, return_tensors="pt")
            with torch.inference_mode():
                found[some] = means_of_layers(encoder, inputs["input_ids"], inputs["attention_mask"]).numpy()
        return found

    ordinary = read(requests(data_dir))
    for fleet in load_corpus(data_dir, held_out).held_out_fleets:
        yield _features(fleet, read, ordinary)


def shares(fleets: Sequence[FleetFeatures], examples: int) -> tuple[float, float]:
    """Return the shares of prompts that get their adapter, and of others that get none, with so many examples each."""
    right, kept = [], []
    for fleet in fleets:
        categories = {
            str(at): CategoryTexts(fleet.descriptions[at : at + 1], own[:examples])
            for at, own in enumerate(fleet.prompts)
        }
        head = described.fit(categories, fleet.ordinary, "")
        for at, own in enumerate(fleet.prompts):
            right += (routed(head.probabilities(own[examples:])) == at).tolist()
        kept += (routed(head.probabilities(fleet.outside)) < 0).tolist()
    return float(np.mean(right)), float(np.mean(kept))


def routed(probabilities: Floats) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the position of each text's category [texts], or -1, as `pointsman.routing.policy` chooses."""
    own, nobody = probabilities[:, :-1], probabilities[:, -1]
    best = own.argmax(axis=1)
    score = own.max(axis=1)
    sure = (score >= THRESHOLD * (score + nobody)) & (score >= MIN_SHARE * own.sum(axis=1))
    return np.where(sure, best, -1)


def _features(fleet: Fleet, read: Callable[[Sequence[str]], Floats], ordinary: Floats) -> FleetFeatures:
    return FleetFeatures(
        read([adapter.description for adapter in fleet.adapters]),
        [read(adapter.prompts) for adapter in fleet.adapters],
        read(fleet.outside),
        ordinary,
    )


if __name__ == "__main__":
    main()
