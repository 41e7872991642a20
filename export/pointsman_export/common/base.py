"""Load the artifact that `pointsman fit` starts from."""

from __future__ import annotations

from pathlib import Path

from pointsman.classify import artifact
from pointsman.classify.artifact import Artifact
from pointsman.classify.providers import OPENVINO
from pointsman_export.common.errors import GraphError


def load_base(folder: Path) -> Artifact:
    """Return the artifact in a folder; raises ArtifactError, or GraphError if `fit` cannot run its graph."""
    found = artifact.load(folder)
    if found.manifest.target == OPENVINO:
        raise GraphError(
            f"{folder} was exported for OpenVINO, and fit runs graphs on ONNX Runtime; export its checkpoint again "
            "without --target openvino, and fit on that"
        )
    return found
