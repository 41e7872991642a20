"""Write the log to stderr as JSON lines, without prompts and keys."""

from __future__ import annotations

import asyncio
import functools
import sys
import time
from typing import Any, Literal, TextIO

import msgspec

Level = Literal["debug", "info", "warning", "error"]
Line = dict[str, Any]
_SEVERITY = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# Lines of requests are held for this long, so that one system call writes several.
HELD_SECONDS = 0.01


class Log:
    """Write JSON lines to a stream."""

    def __init__(self, level: str = "info", stream: TextIO = sys.stderr) -> None:
        self.set_level(level)
        self._stream = stream
        self._held: list[Line] = []
        self._encode = msgspec.json.Encoder().encode_lines

    def set_level(self, level: str) -> None:
        """Set the least severe level to write."""
        self._least = _SEVERITY[level]

    def write(self, level: Level, event: str, **fields: Any) -> None:
        """Write one line; fields that are None are omitted."""
        if _SEVERITY[level] >= self._least:
            self._held.append({"ts": stamp(), "level": level, "event": event, **known(fields)})
            self.flush()

    def soon(self, line: Line) -> None:
        """Write a line of level info within HELD_SECONDS."""
        if self._least > _SEVERITY["info"]:
            return
        if not self._held:
            asyncio.get_running_loop().call_later(HELD_SECONDS, self.flush)
        self._held.append(line)

    def flush(self) -> None:
        """Write all held lines."""
        if self._held:
            lines, self._held = self._held, []
            self._stream.write(self._encode(lines).decode())
            self._stream.flush()


def stamp() -> str:
    """Return the current time in the log's format."""
    seconds, milliseconds = divmod(int(time.time() * 1000), 1000)
    return f"{_second(seconds)}.{milliseconds:03d}+00:00"


@functools.lru_cache(1)
def _second(now: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))


def known(line: Line) -> Line:
    """Return the line without fields that are None."""
    return {name: value for name, value in line.items() if value is not None}
