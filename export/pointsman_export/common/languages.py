"""Tell which texts an artifact classifies, by their language."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pointsman.classify.language import LanguageGate
from pointsman.classify.manifest import Manifest
from pointsman.evaluation.metrics import Bools


def supported(manifest: Manifest, texts: Iterable[str]) -> Bools:
    """Return which texts are not surely of a language that the artifact was not made for [texts]."""
    gate = LanguageGate(manifest.languages) if manifest.languages else None
    return np.array([gate is None or gate.judge(text).supported for text in texts], dtype=bool)
