"""Read and remove rows of the file of texts."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from pointsman import files
from pointsman.observability.rotated_file import alone, lines, parts

NO_CATEGORY = "(none)"


class TextRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of the file: a text, with the request that had it first and the decision about it.

    Lines of earlier releases have only hash and text. A text has a further line if the classifier in shadow differs.
    """

    hash: str
    text: str
    ts: str = ""
    request_id: str = ""
    model: str | None = None
    category: str | None = None
    confidence: float | None = None
    reason: str | None = None
    scores: dict[str, float] = {}
    """The scores of the two best categories."""
    shadow: str | None = None
    """The category by the classifier in shadow if it differs; NO_CATEGORY stands for none."""


def rows(path: Path) -> Iterator[TextRecord]:
    """Yield the rows of all parts, the oldest first, without invalid lines; raises OSError."""
    for line in lines(path):
        if (row := _row(line)) is not None:
            yield row


def forget(path: Path, gone: Callable[[TextRecord], bool]) -> int:
    """Remove rows from all parts, and return their number; raises OSError.

    A part is replaced as a whole; a running service continues in the new one. An unreadable line is removed with the
    first row of its part: nobody can say what it contains.
    """
    with alone(path):
        return sum(_forget(one, gone) for one in parts(path))


def _forget(path: Path, gone: Callable[[TextRecord], bool]) -> int:
    removed = 0
    with files.opened(path) as file:
        found = os.fstat(file.fileno())
        shorter = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with os.fdopen(
                os.open(shorter, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb"
            ) as output:
                for line in file:
                    row = _row(line)
                    if row is not None and not gone(row):
                        output.write(line)
                    elif row is not None:
                        removed += 1
                output.flush()
                with contextlib.suppress(PermissionError):  # only root gives files away
                    os.fchown(output.fileno(), found.st_uid, found.st_gid)
                os.fchmod(output.fileno(), stat.S_IMODE(found.st_mode))
                os.fsync(output.fileno())
            if removed:
                shorter.replace(path)
        finally:
            shorter.unlink(missing_ok=True)
    return removed


def _row(line: bytes) -> TextRecord | None:
    try:
        return msgspec.json.decode(line, type=TextRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
