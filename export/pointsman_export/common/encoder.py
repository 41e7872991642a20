"""Read texts with the encoder of an artifact, as the service does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from pointsman.classify.artifact import Artifact
from pointsman.classify.cores import usable_cores
from pointsman.classify.engine import Engine, probabilities
from pointsman.classify.providers import default_providers
from pointsman.classify.tokenizer import Ids, TextWindow, Tokenizer
from pointsman.evaluation.metrics import Floats
from pointsman_export.common.errors import GraphError

MAX_RUN_TOKENS = 256
"""Longer runs exceed the caches of a small CPU."""


class EncodedTexts(NamedTuple):
    """The tokens of texts, their features [texts, width], and the artifact's probabilities [texts, labels]."""

    prompts: list[Ids]
    features: Floats
    probabilities: Floats


class EncoderReader:
    """A reader of texts, on the CPU."""

    def __init__(self, base: Artifact) -> None:
        """Raises GraphError if the artifact gives no features, CannotStart or ArtifactError if it does not run."""
        self._base, manifest = base, base.manifest
        if manifest.features is None:
            raise GraphError(
                f"{base.folder}: its graph gives no features that a head could read; export its checkpoint again"
            )
        self._shapes = manifest.features.width, len(manifest.labels)
        self._engine = Engine(base, default_providers(manifest.target, use_cpu=True))
        self._tokenizer = Tokenizer(base.tokenizer_path)
        self._max_tokens = manifest.max_tokens

    def read(
        self, texts: Sequence[str], progress: Callable[[int], None] = lambda _: None, *, max_tokens: int | None = None
    ) -> EncodedTexts:
        """Read texts, of which there may be none; `progress` gets the number of those that are done."""
        window = TextWindow.even(max_tokens or self._max_tokens)
        prompts = [one.ids for one in self._tokenizer.encode([window.cut_text(text) for text in texts], window)]
        features, scores = (np.empty((len(prompts), width), np.float32) for width in self._shapes)
        batches = list(_batches(prompts))
        done = 0
        with ThreadPoolExecutor(usable_cores()) as threads:
            runs = threads.map(lambda batch: self._engine.read([prompts[index] for index in batch]), batches)
            for batch, run in zip(batches, runs, strict=True):
                features[batch], scores[batch] = run.features, probabilities(self._base, run)
                done += len(batch)
                progress(done)
        return EncodedTexts(prompts, features, scores)


def _batches(prompts: Sequence[Ids]) -> Iterator[list[int]]:
    """Yield the positions of prompts of similar length, up to MAX_RUN_TOKENS tokens together, or one longer prompt."""
    batch: list[int] = []
    tokens = 0
    for index in sorted(range(len(prompts)), key=lambda index: len(prompts[index])):
        if batch and tokens + len(prompts[index]) > MAX_RUN_TOKENS:
            yield batch
            batch, tokens = [], 0
        batch.append(index)
        tokens += len(prompts[index])
    if batch:
        yield batch
