"""Remember in the state directory what the operator was told, so that it is told once."""

from __future__ import annotations

from pathlib import Path

from pointsman import files


def was_told(state: Path | None, what: str) -> bool:
    """Return whether an earlier start has told it; without a state directory none has."""
    return state is not None and _file(state, what).exists()


def remember_told(state: Path | None, what: str) -> None:
    """Have later starts not tell it; raises OSError."""
    if state is not None:
        files.write(_file(state, what), b"", replace=True)


def _file(state: Path, what: str) -> Path:
    return state / f"told-{what}"
