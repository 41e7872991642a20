"""Score a run of the encoder: the labels that decide, the described categories, and the labels in shadow."""

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


class LabelScores(NamedTuple):
    """The probabilities of an artifact's labels, in their order, and what its gate says about the text's language.

    Without `supported`, the text is in a language that the artifact does not declare: the probabilities mean nothing.
    """

    probabilities: tuple[float, ...]
    language: str | None
    supported: bool


@dataclass(frozen=True, slots=True, eq=False)
class LabelHead:
    """The labels of an artifact; without a gate it judges texts in any language."""

    artifact: Artifact
    gate: LanguageGate | None

    def judge(self, text: str) -> DetectedLanguage:
        """Return the language of a text, and whether the artifact is for it."""
        return UNCERTAIN if self.gate is None else self.gate.judge(text)

    def scores(self, texts: Sequence[str], run: EngineRun) -> list[LabelScores | None]:
        """Return the scores of each text of a run, None where the graph gave NaN or infinity."""
        rows = probabilities(self.artifact, run)
        usable = run.finite & ~np.isnan(rows).any(axis=1)
        judged = map(self.judge, texts)
        return [
            LabelScores(tuple(row), detected.language, detected.supported) if good else None
            for detected, row, good in zip(judged, rows.tolist(), usable, strict=True)
        ]


class TextScores(NamedTuple):
    """The scores of a text by `Heads`; `shadow` is None without one, and where its scores are NaN."""

    labels: LabelScores
    described: tuple[float, ...]
    shadow: LabelScores | None


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """All that is read from one run for one config; `key` is the same for heads that give the same scores."""

    serving: LabelHead
    described: DescribedHead | None
    shadow: LabelHead | None
    key: str

    def scores(self, texts: Sequence[str], run: EngineRun) -> list[TextScores | None]:
        """Return the scores of each text of a run, None where the graph gave NaN or infinity."""
        serving = self.serving.scores(texts, run)
        shadow = [None] * len(texts) if self.shadow is None else self.shadow.scores(texts, run)
        described: list[list[float]] = [[]] * len(texts)
        if self.described is not None and run.features is not None:
            described = self.described.probabilities(run.features).tolist()
        return [
            None if labels is None else TextScores(labels, tuple(described[at]), shadow[at])
            for at, labels in enumerate(serving)
        ]


def joined(serving: LabelHead, described: DescribedHead | None, shadow: LabelHead | None) -> Heads:
    """Return the heads of a config."""
    parts = [_key(serving), "" if described is None else described.key, "" if shadow is None else _key(shadow)]
    return Heads(serving, described, shadow, hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32])


def _key(head: LabelHead) -> str:
    manifest = head.artifact.manifest
    return repr((manifest.graph, manifest.scores_sha256, manifest.labels, manifest.temperature, manifest.languages))


def of_each(heads: Sequence[Heads], texts: Sequence[str], run: EngineRun) -> list[TextScores | None]:
    """Return the scores of each text of a run by its own heads: a run may have texts of two configs."""
    found: list[TextScores | None] = [None] * len(texts)
    for one in {id(one): one for one in heads}.values():
        at = [position for position, other in enumerate(heads) if other is one]
        part = EngineRun(run.logits[at], None if run.features is None else run.features[at])
        for position, scores in zip(at, one.scores([texts[position] for position in at], part), strict=True):
            found[position] = scores
    return found
