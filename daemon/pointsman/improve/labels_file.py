"""Store the labels that people give to texts: a file of JSON lines that only grows; the last label of a text counts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from pointsman import files
from pointsman.errors import EvaluationError
from pointsman.store.rotated_file import alone
from pointsman.store.rows_file import RowsFile

OUT_OF_SCOPE = "out_of_scope"
"""The label of a text that no category is for."""
MAX_LINES = 50_000
MAX_LABELS_BYTES = 256 << 20


class LabelledText(msgspec.Struct, frozen=True, omit_defaults=True):
    """A text and its label: a category, or `out_of_scope` for none."""

    hash: str = ""
    text: str = ""
    label: str = ""
    ts: str = ""
    request_id: str = ""
    undo: bool = False
    """The line has no text, and takes back the last label that still counts."""


def read_labels(path: Path) -> list[LabelledText]:
    """Return the labels that count, each text once, the latest last; none without a file. Raises EvaluationError."""
    latest: dict[str, LabelledText] = {}
    for one in _standing(path):
        latest.pop(one.hash, None)
        latest[one.hash] = one
    return list(latest.values())


def add_label(path: Path, label: LabelledText) -> None:
    """Append a label; raises EvaluationError."""
    with _writing(path):
        _file(path).append([label], max_rows=MAX_LINES, sync=True)


def undo_label(path: Path, ts: str) -> LabelledText | None:
    """Undo the last label, so that the one before counts again; None if there is none. Raises EvaluationError."""
    standing = _standing(path)
    if not standing:
        return None
    add_label(path, LabelledText(undo=True, ts=ts))
    return standing[-1]


def forget_labels(path: Path, gone: Callable[[LabelledText], bool]) -> int:
    """Remove labels with their texts, undone ones too, and return their number; raises EvaluationError."""
    if not path.exists():
        return 0
    with _writing(path):
        labels = read_labels(path)
        left = [one for one in labels if not gone(one)]
        _file(path).replace(left)
    return len(labels) - len(left)


def label_of(given: str, categories: list[str]) -> str:
    """Return the label that a person means; raises EvaluationError if it does not exist."""
    if given in categories:
        return given
    if given in ("none", OUT_OF_SCOPE):
        return OUT_OF_SCOPE
    raise EvaluationError(f'no category is named "{given}"; write one of: {", ".join([*categories, "none"])}')


def _standing(path: Path) -> list[LabelledText]:
    found: list[LabelledText] = []
    try:
        lines = _file(path).read()
    except FileNotFoundError:
        lines = []
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read ({error.strerror})") from error
    for line in lines:
        if line is not None and line.undo:
            del found[-1:]
        elif line is not None and line.hash and line.text and line.label:
            found.append(line)
    return found


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Lock the file against other processes; raises EvaluationError, also for an OSError meanwhile."""
    try:
        files.make_folder(path.parent)
        with alone(path):
            yield
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be written ({error.strerror}); check path and permissions") from error


def _file(path: Path) -> RowsFile[LabelledText]:
    return RowsFile(path, LabelledText, MAX_LABELS_BYTES)
