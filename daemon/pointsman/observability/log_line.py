"""Encode the log's lines: JSON, bounded in size, with the journal's priority if the journal reads them."""

from __future__ import annotations

import functools
import json
import re
import time
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

Level = Literal["debug", "info", "warning", "error"]
Line = dict[str, Any]

# systemd-journald splits a line at 48 KiB (LineMax= in journald.conf(5)).
MAX_LINE_BYTES = 16 * 2**10
# sd-daemon(3): the priorities of syslog.
_PRIORITIES = {"debug": b"<7>", "info": b"<6>", "warning": b"<4>", "error": b"<3>"}


class LineEncoder:
    """An encoder of lines, each with a priority in front if `journal` is set."""

    def __init__(self, *, journal: bool = False) -> None:
        self._prefixes = _PRIORITIES if journal else dict.fromkeys(_PRIORITIES, b"")

    def encode(self, line: Line) -> bytes:
        """Return a line with its newline, with shortened fields if it would be too long."""
        data = _json(line)
        if len(data) > MAX_LINE_BYTES:
            data = _shortened(line)
        return b"%b%b\n" % (self._prefixes[line["level"]], data)

    def encode_info(self, lines: Sequence[Line]) -> bytes:
        """Return lines of level info, encoded as by `encode` but in a third of the time."""
        try:
            data = _escaped(_encode_lines(lines))
        except _UNENCODABLE:
            data = b""
        if not data or not _fit(data):
            return b"".join(map(self.encode, lines))
        prefix = self._prefixes["info"]
        return prefix + data[:-1].replace(b"\n", b"\n" + prefix) + b"\n" if prefix else data


_ENCODER = msgspec.json.Encoder(enc_hook=repr)
_encode, _encode_lines = _ENCODER.encode, _ENCODER.encode_lines
# Lone surrogates, as in a file name that is not UTF-8, and integers of more than 64 bits.
_UNENCODABLE = (UnicodeEncodeError, OverflowError)


# JSON need not escape DEL, C1 and the line separators; but a terminal obeys them, and some readers end a line there.
_ESCAPES = {chr(code).encode(): b"\\u%04x" % code for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}
_ESCAPED = re.compile(b"|".join(_ESCAPES))


def _escaped(data: bytes) -> bytes:
    """Return JSON with no control character but the newlines between lines."""
    if data.isascii() and b"\x7f" not in data:
        return data
    return _ESCAPED.sub(lambda found: _ESCAPES[found[0]], data)


def _json(value: Any) -> bytes:
    try:
        return _escaped(_encode(value))
    except _UNENCODABLE:
        return _escaped(json.dumps(msgspec.to_builtins(value, enc_hook=repr)).encode())


def _fit(data: bytes) -> bool:
    """Return whether no line in `data` is too long; looks at one newline in MAX_LINE_BYTES."""
    start = 0
    while len(data) - start > MAX_LINE_BYTES + 1:
        start = data.rfind(b"\n", start, start + MAX_LINE_BYTES + 1) + 1
        if not start:
            return False
    return True


def _shortened(line: Line) -> bytes:
    """Halve the longest field until the line fits; `shortened` names the fields that were cut."""
    line = line | {"shortened": []}
    while len(data := _json(line)) > MAX_LINE_BYTES:
        name = max(line.keys() - {"shortened"}, key=lambda field: len(_json(line[field])))
        value = line[name]
        text = value if isinstance(value, str) else _json(value).decode()
        line[name] = cut(text, len(text.encode("utf-8", "replace")) // 2)
        line["shortened"] = sorted({*line["shortened"], name})
    return data


def cut(text: str, limit: int) -> str:
    """Return a text in at most `limit` bytes of UTF-8, at least 3: all of it, or its two ends around a `…`."""
    if 4 * len(text) <= limit or (len(text) <= limit and len(text.encode("utf-8", "replace")) <= limit):
        return text
    tail = (limit - 3) // 3
    head = limit - 3 - tail
    beginning = text[:head].encode("utf-8", "replace")[:head]
    end = text[-tail:].encode("utf-8", "replace")[-tail:] if tail else b""
    return f"{beginning.decode('utf-8', 'ignore')}…{end.decode('utf-8', 'ignore')}"


def stamp(now: float) -> str:
    """Return a time, which is in seconds since the epoch, in the log's format."""
    seconds, milliseconds = divmod(int(now * 1000), 1000)
    return f"{_second(seconds)}.{milliseconds:03d}+00:00"


@functools.lru_cache(1)
def _second(now: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))


def known(line: Line) -> Line:
    """Return the line without fields that are None."""
    return {name: value for name, value in line.items() if value is not None}
