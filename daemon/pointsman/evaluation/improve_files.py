"""Name the files with which the router is improved, beside the service's other state."""

from __future__ import annotations

from pathlib import Path

from pointsman import files


def worklist_file() -> Path:
    """Return the file of texts that a person should label."""
    return files.service_state() / "improve" / "worklist.jsonl"


def labels_file() -> Path:
    """Return the file of the labels that were given."""
    return files.service_state() / "improve" / "labels.jsonl"


def artifacts_folder() -> Path:
    """Return the folder of the artifacts that `pointsman fit --labelled` writes."""
    return files.service_state() / "improve" / "artifacts"
