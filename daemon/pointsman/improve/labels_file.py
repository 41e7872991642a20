"""Store the labels that people give to texts: a file of JSON lines that only grows; the last label of a text counts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from pointsman import files
from pointsman.errors import EvaluationError
from pointsman.store.line_writer import open_lines
from pointsman.store.rotated_file import alone

OUT_OF_SCOPE = "out_of_scope"
"""The label of a text that no category is for."""
MAX_LINES = 50_000
MAX_LABELS_BYTES = 256 << 20


class LabelledText(msgspec.Struct, frozen=True, omit_defaults=True):
    """A text and its label: a category, or `out_of_scope` for none."""

    hash: str
    text: str
    label: str
    ts: str = ""
    request_id: str = ""


class _LabelLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line: a label, or the removal of the last one that still counts."""

    hash: str = ""
    text: str = ""
    label: str = ""
    ts: str = ""
    request_id: str = ""
    undo: bool = False


def read_labels(path: Path) -> list[LabelledText]:
    """Return the labels that count, each text once, the latest last; none without a file. Raises EvaluationError."""
    latest: dict[str, LabelledText] = {}
    for one in _standing(path):
        latest.pop(one.hash, None)
        latest[one.hash] = one
    return list(latest.values())


def add_label(path: Path, label: LabelledText) -> None:
    """Append a label; raises EvaluationError."""
    _append(
        path, _LabelLine(hash=label.hash, text=label.text, label=label.label, ts=label.ts, request_id=label.request_id)
    )


def undo_label(path: Path, ts: str) -> LabelledText | None:
    """Undo the last label, so that the one before counts again; None if there is none. Raises EvaluationError."""
    standing = _standing(path)
    if not standing:
        return None
    _append(path, _LabelLine(undo=True, ts=ts))
    return standing[-1]


def forget_labels(path: Path, gone: Callable[[LabelledText], bool]) -> int:
    """Remove labels with their texts, undone ones too, and return their number; raises EvaluationError."""
    try:
        if not path.exists():
            return 0
        with alone(path):
            labels = read_labels(path)
            left = [one for one in labels if not gone(one)]
            files.write(path, b"".join(msgspec.json.encode(one) + b"\n" for one in left), replace=True, mode=0o600)
            files.hand_over(path)
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be written ({error.strerror}); check path and permissions") from error
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
    for line in _lines(path):
        if line.undo:
            del found[-1:]
        elif line.hash and line.text and line.label:
            found.append(LabelledText(line.hash, line.text, line.label, line.ts, line.request_id))
    return found


def _lines(path: Path) -> Iterator[_LabelLine]:
    try:
        content = files.read(path, MAX_LABELS_BYTES)
    except FileNotFoundError:
        return
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read ({error.strerror})") from error
    for line in content.splitlines():
        try:
            yield msgspec.json.decode(line, type=_LabelLine)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue  # torn, as by a full disk; the next begins on a line of its own


def _append(path: Path, line: _LabelLine) -> None:
    try:
        files.make_folder(path.parent)
        with alone(path):
            file = open_lines(path)
            try:
                files.hand_over(path)
                _check_room(path)
                torn = _ends_torn(path)
                os.write(file, (b"\n" if torn else b"") + msgspec.json.encode(line) + b"\n")
                os.fsync(file)
            finally:
                os.close(file)
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be written ({error.strerror}); check path and permissions") from error


def _check_room(path: Path) -> None:
    with files.opened(path) as file:
        if sum(1 for _ in file) >= MAX_LINES:
            raise EvaluationError(f"{path}: has {MAX_LINES:,} labels, and takes no more; begin another file")


def _ends_torn(path: Path) -> bool:
    with files.opened(path) as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            return False
        file.seek(size - 1)
        return file.read(1) != b"\n"
