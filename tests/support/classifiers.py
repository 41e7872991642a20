"""A classifier with an encoder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pointsman.classify.artifact import Artifact
from pointsman.classify.classifier import Classifier
from pointsman.classify.encoder import Encoder
from pointsman.config.model import ClassifierOptions


@contextmanager
def opened(artifact: Artifact, options: ClassifierOptions) -> Iterator[Classifier]:
    """Open and prove an artifact, as the service does, and close it at last."""
    encoder = Encoder(artifact.encoder, options)
    try:
        if artifact.base is not None:
            encoder.prove(artifact)
        yield Classifier(encoder, artifact)
    finally:
        encoder.close()
