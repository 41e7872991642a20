"""Heads on the toy artifact, whose features are its logits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pointsman.classify import artifact, linear_head
from pointsman.classify.linear_head import LinearHead
from support import toy_artifact
from support.config_files import LABELS


def base_in(folder: Path) -> Path:
    """The toy with features, which heads can read."""
    contents = {"model.onnx": toy_artifact.with_features(toy_artifact.model())}
    return toy_artifact.build_measured(folder, contents, features=toy_artifact.FEATURES, format_version=4)


def exchanging(first: str, second: str) -> LinearHead:
    """A head that takes what is about one label for the other, and knows all else as the toy does."""
    order = list(range(len(LABELS)))
    one, other = LABELS.index(first), LABELS.index(second)
    order[one], order[other] = other, one
    return LinearHead(np.eye(len(LABELS), dtype=np.float32)[order], np.zeros(len(LABELS), np.float32), added=False)


def head_on(base: Path, folder: Path, head: LinearHead, labels: Sequence[str], **changed: Any) -> Path:
    """Write a head, whose manifest has `changed`; the answers are spread evenly."""
    manifest = json.loads((base / "pointsman.json").read_text())
    content = changed.pop("content", linear_head.encode(head))
    encoder = changed.pop("encoder", artifact.read_manifest(base).encoder)
    folder.mkdir()
    (folder / "head.bin").write_bytes(content)
    manifest |= {
        "labels": list(labels),
        "head": {"artifact": str(base), "encoder": encoder, "added": head.added},
        "files": {"head.bin": hashlib.sha256(content).hexdigest()},
        "known_answers": [{"text": "a", "probabilities": [1 / len(labels)] * len(labels)}],
        "max_tokens": 9,
    }
    (folder / "pointsman.json").write_text(json.dumps(manifest | changed))
    return folder
