"""Classify texts one by one, so that no result depends on other texts, and measure the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from pointsman.classify.artifact import Artifact
from pointsman.classify.category_head import Read
from pointsman.classify.cores import usable_cores
from pointsman.classify.described import DescribedHead
from pointsman.classify.engine import Array, Engine, Probabilities, probabilities
from pointsman.classify.language import UNCERTAIN, DetectedLanguage
from pointsman.classify.loading import WARM_UP_TEXTS, language_gate
from pointsman.classify.providers import default_providers
from pointsman.classify.tokenizer import TextWindow, Tokenizer
from pointsman.config.model import CategoryModel, ClassifierOptions
from pointsman.errors import ArtifactError
from pointsman.evaluation.metrics import Bools, Floats, Ints

TIMED = 200
"""Number of texts that are timed, one after another on one thread; the others share the cores."""

Progress = Callable[[int, int], None]
"""A callback with the number of finished texts and of all texts."""


@dataclass(frozen=True, slots=True)
class TextPredictions:
    """The classification of n texts."""

    probabilities: Probabilities
    """Shape [n, labels], or more columns with a head: those of the described categories, and of nobody."""
    tokens: Ints
    """Tokens that were read, shape [n]."""
    supported: Bools
    """For each text, whether it may be in a language that the artifact is for, shape [n]."""
    languages: list[str | None]
    """For each text; None if it is not certain, or was not asked for."""
    cut: int
    """Texts of which only head and tail, `max_tokens` in all, were read."""
    max_tokens: int
    seconds: Floats
    """Time to tokenize and classify, for up to TIMED texts."""


def joined(readings: Sequence[TextPredictions]) -> TextPredictions:
    """Return readings of one artifact, of which there must be at least one, as one."""
    return TextPredictions(
        probabilities=np.concatenate([one.probabilities for one in readings]),
        tokens=np.concatenate([one.tokens for one in readings]),
        supported=np.concatenate([one.supported for one in readings]),
        languages=[language for one in readings for language in one.languages],
        cut=sum(one.cut for one in readings),
        max_tokens=readings[0].max_tokens,
        seconds=np.concatenate([one.seconds for one in readings]),
    )


@dataclass(frozen=True, slots=True)
class _TextPrediction:
    probabilities: Probabilities
    tokens: int
    detected: DetectedLanguage
    cut: bool
    seconds: float


class ArtifactRunner:
    """One artifact, run as the service would with these options; raises CannotStart."""

    def __init__(
        self,
        artifact: Artifact,
        options: ClassifierOptions = ClassifierOptions(),  # noqa: B008 - frozen
        model: CategoryModel = CategoryModel(),  # noqa: B008
        head: Callable[[Read], DescribedHead | None] = lambda _: None,
    ) -> None:
        """`head` gets a reader of features, and returns the head of the described categories, if there are any."""
        self._artifact = artifact
        own = artifact.manifest.max_tokens
        self._window = TextWindow(min(options.max_tokens or own, own), options.head_share)
        self._tokenizer = Tokenizer(artifact.tokenizer_path)
        providers = default_providers(artifact.manifest.target, use_cpu=model.use_cpu)
        self._engine = Engine(artifact, options.providers or providers)
        self._gate = language_gate(artifact, options)
        self.head: DescribedHead | None = None
        for text in WARM_UP_TEXTS:
            self._one(text)
        self.head = head(self._features)

    def read(self, texts: Sequence[str], progress: Progress = lambda done, total: None) -> TextPredictions:
        """Classify all texts, of which there must be at least one."""
        total = len(texts)
        timed = set(np.linspace(0, total - 1, min(TIMED, total)).astype(int).tolist())
        found: dict[int, _TextPrediction] = {}
        for position in sorted(timed):
            found[position] = self._one(texts[position])
            progress(len(found), total)
        rest = [position for position in range(total) if position not in timed]
        with ThreadPoolExecutor(usable_cores()) as executor:
            for position, one in zip(rest, executor.map(lambda i: self._one(texts[i]), rest), strict=True):
                found[position] = one
                progress(len(found), total)
        ordered = [found[position] for position in range(total)]
        return TextPredictions(
            probabilities=np.stack([one.probabilities for one in ordered]),
            tokens=np.array([one.tokens for one in ordered]),
            supported=np.array([one.detected.supported for one in ordered]),
            languages=[one.detected.language for one in ordered],
            cut=sum(one.cut for one in ordered),
            max_tokens=self._window.max_tokens,
            seconds=np.array([found[position].seconds for position in sorted(timed)]),
        )

    def _features(self, texts: Sequence[str], max_tokens: int) -> Array | None:
        window = TextWindow.even(max_tokens)
        encoded = self._tokenizer.encode([window.cut_text(text) for text in texts], window)
        return self._engine.read([one.ids for one in encoded]).features

    def _one(self, text: str) -> _TextPrediction:
        started = time.perf_counter()
        read = self._window.cut_text(text)
        (encoded,) = self._tokenizer.encode([read], self._window)
        detected = UNCERTAIN if self._gate is None else self._gate.judge(read)
        run = self._engine.read([encoded.ids])
        scores = probabilities(self._artifact, run)[0]
        if self.head is not None and run.features is not None:
            scores = np.concatenate([scores, self.head.probabilities(run.features)[0]])
        if np.isnan(scores).any():
            raise ArtifactError(f"{self._artifact.folder}: the graph returned NaN or infinity for {text[:80]!r}")
        seconds = time.perf_counter() - started
        return _TextPrediction(scores, len(encoded.ids), detected, encoded.cut or read is not text, seconds)
