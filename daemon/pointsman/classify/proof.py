"""Prove before an artifact serves that it answers as it did when exported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from pointsman.classify.artifact import Artifact
from pointsman.classify.engine import Engine, Probabilities
from pointsman.classify.tokenizer import TextWindow, Tokenizer
from pointsman.errors import ArtifactError

# CPUs round some float operators differently, which changes an answer by less than 0.01 if an int8 value changes; a
# wrong tokenizer, weight or kernel changes some answer by far more.
TOLERANCE = 0.05


def prove(artifact: Artifact, tokenizer: Tokenizer, engine: Engine) -> None:
    """Compare the artifact's known answers with those of `engine`; raises ArtifactError."""
    manifest = artifact.manifest
    expected = np.array([answer.probabilities for answer in manifest.known_answers])
    for wide in (False, True) if engine.has_wide else (False,):
        found = answers(
            [answer.text for answer in manifest.known_answers], manifest.max_tokens, tokenizer, engine, wide
        )
        for answer, row, wanted in zip(manifest.known_answers, found, expected, strict=True):
            worst = int(np.abs(row - wanted).argmax())  # a NaN is the largest
            if not abs(row[worst] - wanted[worst]) <= TOLERANCE:
                raise ArtifactError(
                    f"{artifact.folder}: gives {answer.text!r} the probability {row[worst]:.3f} for "
                    f"{manifest.labels[worst]!r}, but gave {wanted[worst]:.3f} when it was exported; "
                    "export the classifier again on this host"
                )


def answers(
    texts: list[str], max_tokens: int, tokenizer: Tokenizer, engine: Engine, wide: bool = False
) -> list[Probabilities]:
    """Return the probabilities of each text, run alone and read in the even window, whatever the config says."""
    window = TextWindow.even(max_tokens)
    encoded = tokenizer.encode([window.cut_text(text) for text in texts], window)
    return [engine.run([item.ids], wide=wide)[0] for item in encoded]


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
