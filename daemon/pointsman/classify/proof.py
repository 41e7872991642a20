"""Prove before an artifact serves that it answers as it did when exported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from pointsman.classify import ordinary
from pointsman.classify.artifact import Artifact
from pointsman.classify.engine import Engine, EngineRun, Probabilities, probabilities
from pointsman.classify.manifest import KnownAnswer, Manifest
from pointsman.classify.ordinary import Floats
from pointsman.classify.tokenizer import TextWindow, Tokenizer
from pointsman.errors import ArtifactError

# CPUs round some float operators differently, which changes an answer by less than 0.01 if an int8 value changes; a
# wrong tokenizer, weight or kernel changes some answer by far more.
TOLERANCE = 0.05
# Of features, which have no range of their own. A wrong tokenizer, weight or pooling turns some vector by far more.
MIN_COSINE, MAX_LENGTH_CHANGE = 0.995, 0.02


def prove(artifact: Artifact, tokenizer: Tokenizer, engine: Engine) -> None:
    """Compare the artifact's known answers with those by `engine`; raises ArtifactError."""
    manifest = artifact.manifest
    for wide in (False, True) if engine.has_wide else (False,):
        found = answers(
            [answer.text for answer in manifest.known_answers], manifest.max_tokens, tokenizer, engine, wide
        )
        for answer, run in zip(manifest.known_answers, found, strict=True):
            if manifest.labels:
                difference = _other_probability(answer, probabilities(artifact, run)[0], manifest)
            else:
                difference = _other_features(answer, run)
            if difference is not None:
                raise ArtifactError(
                    f"{artifact.folder}: gives {answer.text!r} {difference} when it was exported; "
                    "export the classifier again on this host"
                )


def _other_probability(answer: KnownAnswer, found: Probabilities, manifest: Manifest) -> str | None:
    wanted = np.array(answer.probabilities)
    worst = int(np.abs(found - wanted).argmax())  # a NaN is the largest
    if abs(found[worst] - wanted[worst]) <= TOLERANCE:
        return None
    return f"the probability {found[worst]:.3f} for {manifest.labels[worst]!r}, but gave {wanted[worst]:.3f}"


def _other_features(answer: KnownAnswer, run: EngineRun) -> str | None:
    wanted = np.frombuffer(answer.features, ordinary.FORM)[None].astype(np.float32)
    (cosine,), (change,) = compare_features(np.asarray(run.features), wanted)
    if cosine >= MIN_COSINE and change <= MAX_LENGTH_CHANGE:  # a NaN is neither
        return None
    return f"features of cosine {cosine:.3f} and length {change:.1%} away from those that it gave"


def compare_features(found: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """Return each row's cosine to the expected one, and the change of its length as a share; NaN for a row of zeros."""
    lengths, wanted = (np.linalg.norm(rows, axis=1) for rows in (found, expected))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (found * expected).sum(axis=1) / (lengths * wanted), np.abs(lengths / wanted - 1)


def answers(
    texts: list[str], max_tokens: int, tokenizer: Tokenizer, engine: Engine, wide: bool = False
) -> list[EngineRun]:
    """Return the results of each text, run alone and read in the even window, whatever the config says."""
    window = TextWindow.even(max_tokens)
    encoded = tokenizer.encode([window.cut_text(text) for text in texts], window)
    return [engine.read([item.ids], wide=wide) for item in encoded]


@contextmanager
def proving(artifact: Artifact, engine: Engine, seconds: float) -> Iterator[None]:
    """Turn errors in a block of runs into an ArtifactError, and stop runs that last longer than `seconds`."""
    try:
        with engine.stopped_after(seconds):
            yield
    except ArtifactError:
        raise
    except Exception as error:
        cause = f"a run did not end within {seconds:g} s" if engine.stopped else str(error)
        raise ArtifactError(f"{artifact.folder}: does not run ({cause}); export the classifier again") from error
