"""The texts beside a head, from which it can be made anew on another encoder.

The manifest does not list their files, so that an operator can delete them.
"""

from __future__ import annotations

from pathlib import Path

from pointsman.classify.manifest import TAUGHT, Manifest

ROWS = "rows.jsonl"
"""The labeled rows of a fit."""
LABELS = "labels.jsonl"
"""The labels of a correction."""
TAUGHT_ROWS = "taught.jsonl"
"""The rows that described categories were taught."""
REMADE = "remade"
"""In the manifest's `verification`, the SHA-256 of the `head.bin` that was made anew."""


def needed(own: Manifest) -> list[str]:
    """Return the names of the files without which a head cannot be made anew."""
    fitted = own.head is not None and not own.head.added
    corrected, taught = "correction" in own.verification, TAUGHT in own.files
    return [ROWS] * fitted + [LABELS] * corrected + [TAUGHT_ROWS] * taught


def missing(folder: Path, own: Manifest) -> list[str]:
    """Return the names of those that are not in the folder of the head."""
    return [name for name in needed(own) if not (folder / name).exists()]
