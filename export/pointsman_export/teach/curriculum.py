"""Gather from a config and its classifier what a model is asked about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pointsman.classify import artifact
from pointsman.classify.artifact import Artifact
from pointsman.classify.category_head import MAX_TEXT_TOKENS, texts_of
from pointsman.classify.language import LanguageGate
from pointsman.config.model import Config
from pointsman_export.common.encoder import EncoderReader
from pointsman_export.common.errors import TeachingError
from pointsman_export.teach.questions import MAX_NEIGHBORS, About

MAX_CATEGORIES = 200
"""All of them are in each question about a prompt."""


@dataclass(frozen=True, slots=True)
class Curriculum:
    """The categories to write for, the neighbors of each with the nearest first, and texts to write no copies of.

    `language` returns the language of a text if the classifier is not for it, None of any other. `rows` are those of
    a category, `by` is the model that is asked.
    """

    known: Sequence[About]
    neighbors: Mapping[str, Sequence[About]]
    examples: Sequence[str]
    language: Callable[[str], str | None]
    rows: int
    by: str


def curriculum(config: Config, base: Path, rows: int, by: str) -> Curriculum:
    """Return what to ask about the described categories; raises TeachingError or CannotStart."""
    loaded = artifact.load(base)
    texts = texts_of(config, loaded.manifest)
    if not texts:
        raise TeachingError(
            "no category is described: teaching is for categories that no label covers; describe them in the config"
        )
    if len(texts) > MAX_CATEGORIES:
        raise TeachingError(f"{len(texts)} categories are described; at most {MAX_CATEGORIES} can be taught")
    known = [About(name, descriptions) for name, (descriptions, _) in texts.items()]
    examples = [text for _, some in texts.values() for text in some]
    return Curriculum(known, _neighbors(loaded, known), examples, _language(loaded), rows, by)


def _neighbors(loaded: Artifact, known: Sequence[About]) -> dict[str, list[About]]:
    """Return the categories whose descriptions are nearest to each one's, by the cosine of their features."""
    found = EncoderReader(loaded).read([" ".join(one.texts) for one in known], max_tokens=MAX_TEXT_TOKENS).features
    found = found - found.mean(axis=0)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    near = found @ found.T
    np.fill_diagonal(near, -np.inf)
    order = np.argsort(-near, axis=1, kind="stable")[:, : min(MAX_NEIGHBORS, len(known) - 1)]
    return {one.name: [known[other] for other in order[at]] for at, one in enumerate(known)}


def _language(loaded: Artifact) -> Callable[[str], str | None]:
    gate = LanguageGate(loaded.manifest.languages)

    def language(text: str) -> str | None:
        judged = gate.judge(text)
        return None if judged.supported or not loaded.manifest.languages else judged.language

    return language
