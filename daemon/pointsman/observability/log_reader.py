"""Read the service's log in all usual forms: as written, from the journal, compressed, or piped."""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from pointsman import files
from pointsman.errors import EvaluationError

# journald's own limit for a line is 48 KiB; in its JSON each byte may be a number.
MAX_LOG_LINE_BYTES = 1 << 20
# Bytes that are read of a compressed log.
MAX_LOG_BYTES = 64 << 30
_UNREADABLE = (msgspec.MsgspecError, RecursionError, ValueError)
T = TypeVar("T")


class _JournalEntry(msgspec.Struct):
    """An entry of `journalctl -o json`: a message that is not printable is a list of bytes."""

    message: str | list[int] | None = msgspec.field(name="MESSAGE")


def decisions(lines: Iterable[bytes], form: type[T], *, event: str = "routing_decision") -> Iterator[T]:
    """Yield the log's lines of an event as `form`, whatever is around them; other lines are skipped.

    `journalctl` puts time and host in front, with `-o json` the line is a field of an object, and a log on a terminal
    may have priorities.
    """
    decoder = msgspec.json.Decoder(form)
    for line in own(lines, event.encode()):
        with contextlib.suppress(*_UNREADABLE):
            found = decoder.decode(line)
            if getattr(found, "event", None) == event:
                yield found


def own(lines: Iterable[bytes], wanted: bytes) -> Iterator[bytes]:
    """Yield the service's own JSON, not yet decoded, of the lines that may contain the wanted bytes."""
    for line in lines:
        if wanted not in line and b'"MESSAGE"' not in line:
            continue
        try:
            found = _own(line)
        except _UNREADABLE:
            continue
        yield found


def _own(line: bytes) -> bytes:
    """Return the service's own JSON in a line."""
    start = line.find(b"{")
    if b'"MESSAGE"' not in line or start < 0:
        return line[max(start, 0) :]
    message = msgspec.json.decode(line[start:], type=_JournalEntry).message
    own = message.encode() if isinstance(message, str) else bytes(message or ())
    return own[max(own.find(b"{"), 0) :]


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Iterator[bytes]]:
    """Open a log, also a compressed one; `-` is standard input. Raises EvaluationError, also while it is read."""
    try:
        with contextlib.ExitStack() as stack:
            raw = _standard_input() if str(path) == "-" else stack.enter_context(files.opened(path))
            peeked = raw.peek(2)[:2] if hasattr(raw, "peek") else b""
            if peeked == b"\x1f\x8b":
                yield _lines(stack.enter_context(gzip.GzipFile(fileobj=raw)))
            else:
                yield _lines(raw)
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise EvaluationError(f"{path}: cannot be read ({why})") from error


def _standard_input() -> IO[bytes]:
    if sys.stdin is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return sys.stdin.buffer


def _lines(file: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    """Yield lines; skip one that is too long, as it is not the service's."""
    read, whole = 0, True
    while line := file.readline(MAX_LOG_LINE_BYTES):
        read += len(line)
        ends = line.endswith(b"\n")
        if whole and (ends or len(line) < MAX_LOG_LINE_BYTES):
            yield line
        whole = ends
        if read > MAX_LOG_BYTES:
            raise EvaluationError(f"the log has more than {MAX_LOG_BYTES >> 30} GiB; give a part of it")
