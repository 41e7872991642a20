"""Classify texts in one config, with its heads, on an encoder that configs share."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from pointsman.classify.artifact import Artifact
from pointsman.classify.classification import Classification
from pointsman.classify.described import DescribedHead
from pointsman.classify.encoder import Encoder
from pointsman.classify.heads import ArtifactHead, joined
from pointsman.classify.loading import language_gate


class Classifier:
    """The heads of one config on an encoder that outlives it."""

    def __init__(
        self,
        encoder: Encoder,
        artifact: Artifact,
        head: DescribedHead | None = None,
        shadow: tuple[Artifact, DescribedHead | None] | None = None,
    ) -> None:
        """Take an artifact and, if there is one, another in shadow, both on the graph of `encoder`, with their heads.

        A head is that of the config's described categories.
        """
        self.encoder = encoder
        self.artifact = artifact
        self.head = head
        self.name = artifact.folder.name
        self.labels = tuple(artifact.manifest.labels)
        self.calibration = artifact.calibration
        self.heads = joined(self._gated(artifact, head), None if shadow is None else self._gated(*shadow))

    def _gated(self, artifact: Artifact, described: DescribedHead | None) -> ArtifactHead:
        return ArtifactHead(artifact, language_gate(artifact, self.encoder.options), described)

    def classify(
        self, text: str, deadline: float | None = None, client: str = ""
    ) -> Coroutine[Any, Any, Classification]:
        """Classify a text; see `Encoder.classify`."""
        return self.encoder.classify(text, self.heads, deadline, client)

    def settings(self) -> dict[str, Any]:
        """Return the artifact's name and the settings chosen for this host, for the log."""
        return {"artifact": self.name} | self.encoder.settings()
