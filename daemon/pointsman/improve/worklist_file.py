"""Keep the worklist, the texts that a person should label, in a file of JSON lines that `collect` replaces."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pointsman.errors import EvaluationError
from pointsman.store.rows_file import RowsFile

MAX_WORKLIST_BYTES = 256 << 20


class WorklistItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A text to label: the decision, why a label helps, and the number of similar texts."""

    id: str
    text: str
    useful: float
    hash: str = ""
    why: tuple[str, ...] = ()
    ts: str = ""
    request_id: str = ""
    model: str | None = None
    category: str | None = None
    confidence: float | None = None
    reason: str | None = None
    scores: dict[str, float] = {}
    shadow: str | None = None
    """The category by the classifier in shadow, if it differs."""
    suggested: str | None = None
    """The category that a model says (`pointsman teach --label`), NO_CATEGORY for none."""
    alike: int = 1
    """Texts that are nearly the same, this one included."""


def worklist_file(path: Path) -> RowsFile[WorklistItem]:
    """Return the file to write to."""
    return RowsFile(path, WorklistItem, MAX_WORKLIST_BYTES)


def read_worklist(path: Path) -> list[WorklistItem]:
    """Return the texts in a worklist; raises EvaluationError."""
    try:
        items = worklist_file(path).read()
    except FileNotFoundError as error:
        raise EvaluationError(f"{path}: there is no worklist; `pointsman collect` writes one") from error
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read ({error.strerror})") from error
    found = [item for item in items if item is not None]
    if len(found) < len(items):
        others = len(items) - len(found)
        raise EvaluationError(f"{path}: no worklist of `pointsman collect`; {others:,} of its lines are no items")
    return found
