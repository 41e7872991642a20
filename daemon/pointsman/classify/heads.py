"""Score a run of the encoder, by the artifact that decides and by the one in shadow."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pointsman.classify.artifact import Artifact
from pointsman.classify.described import DescribedHead
from pointsman.classify.engine import EngineRun, probabilities
from pointsman.classify.language import UNCERTAIN, DetectedLanguage, LanguageGate


class ArtifactScores(NamedTuple):
    """The probabilities of an artifact's labels, in their order, and what its gate says about the text's language.

    Without `supported`, the text is in a language that the artifact does not declare: the probabilities mean nothing.
    `described` are those of the described categories, and last of nobody; empty if there are none.
    """

    probabilities: tuple[float, ...]
    language: str | None
    supported: bool
    described: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ArtifactHead:
    """The labels of an artifact, and the described categories; without a gate it judges texts in any language."""

    artifact: Artifact
    gate: LanguageGate | None
    described: DescribedHead | None

    def judge(self, text: str) -> DetectedLanguage:
        """Return the language of a text, and whether the artifact is for it."""
        return UNCERTAIN if self.gate is None else self.gate.judge(text)

    def scores(self, texts: Sequence[str], run: EngineRun) -> list[ArtifactScores | None]:
        """Return the scores of each text of a run, None where the graph gave NaN or infinity."""
        rows = probabilities(self.artifact, run)
        usable = run.finite & ~np.isnan(rows).any(axis=1)
        described: list[list[float]] = [[]] * len(texts)
        if self.described is not None and run.features is not None:
            described = self.described.probabilities(run.features).tolist()
        return [
            ArtifactScores(tuple(row), detected.language, detected.supported, tuple(own)) if good else None
            for detected, row, own, good in zip(map(self.judge, texts), rows.tolist(), described, usable, strict=True)
        ]

    @property
    def key(self) -> str:
        """Return what is the same for heads that give the same scores."""
        manifest = self.artifact.manifest
        described = "" if self.described is None else self.described.key
        parts = manifest.graph, manifest.scores_sha256, manifest.labels, manifest.temperature, manifest.languages
        return repr((*parts, described))


class TextScores(NamedTuple):
    """The scores of a text by `Heads`; `shadow` is None without one, and where its scores are NaN."""

    serving: ArtifactScores
    shadow: ArtifactScores | None


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """All that is read from one run for one config; `key` is the same for heads that give the same scores."""

    serving: ArtifactHead
    shadow: ArtifactHead | None
    key: str

    def scores(self, texts: Sequence[str], run: EngineRun) -> list[TextScores | None]:
        """Return the scores of each text of a run, None where the graph gave NaN or infinity."""
        shadow = [None] * len(texts) if self.shadow is None else self.shadow.scores(texts, run)
        return [
            None if serving is None else TextScores(serving, shadow[at])
            for at, serving in enumerate(self.serving.scores(texts, run))
        ]


def joined(serving: ArtifactHead, shadow: ArtifactHead | None) -> Heads:
    """Return the heads of a config."""
    parts = [serving.key, "" if shadow is None else shadow.key]
    return Heads(serving, shadow, hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32])


def of_each(heads: Sequence[Heads], texts: Sequence[str], run: EngineRun) -> list[TextScores | None]:
    """Return the scores of each text of a run by its own heads: a run may have texts of two configs."""
    found: list[TextScores | None] = [None] * len(texts)
    for one in {id(one): one for one in heads}.values():
        at = [position for position, other in enumerate(heads) if other is one]
        part = EngineRun(run.logits[at], None if run.features is None else run.features[at])
        for position, scores in zip(at, one.scores([texts[position] for position in at], part), strict=True):
            found[position] = scores
    return found
