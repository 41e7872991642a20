"""Remember in the state directory that the operator was told how to preserve former routes, so that it is told once."""

from __future__ import annotations

import os
from pathlib import Path

from pointsman import files

FILE = "told-thresholds"


def was_notified(state: Path | None) -> bool:
    """Return whether an earlier start has told the operator; False if the state directory is missing or unreadable."""
    return state is not None and os.path.lexists(state / FILE)


def remember_notified(state: Path | None) -> None:
    """Remember that the operator was told; raises OSError."""
    if state is not None:
        files.write(state / FILE, b"", replace=True)
