"""Find the lines of a request by its id, or by the beginning of its id."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

MIN_BEGINNING_CHARACTERS = 6
"""The minimum length of an id's beginning; a whole id may be shorter."""
MAX_FOUND_LINES = 10
# Other lines that name a request, such as one about a quarantined query, are not a request's.
_OF_REQUESTS = ("request", "routing_decision")


class FoundLine(NamedTuple):
    """A line of a request, raw and decoded; `time` is its `ts`, and `location` its origin."""

    time: str
    request_id: str
    line: bytes
    fields: dict[str, Any]
    location: str


class Search:
    """A search in lines that come once, in any order, and of which the newest MAX_FOUND_LINES are stored."""

    def __init__(self, wanted: str) -> None:
        """Take `wanted`, an id or its beginning."""
        self.needle = wanted.encode()
        """Bytes that each matching line contains."""
        self.broken = 0
        """Lines with the id that could not be read."""
        self._wanted = wanted
        self._whole, self._begun = _NewestLines(), _NewestLines()

    @property
    def found(self) -> list[FoundLine]:
        """Return the newest lines, the newest first: those of this very id, else those whose ids begin with it."""
        return self._best.lines

    @property
    def ambiguous(self) -> bool:
        """Return whether the lines are of several requests with different ids."""
        return self._best.ids_differ

    @property
    def more(self) -> bool:
        """Return whether there are more lines than `found` returns."""
        return self._best.count > MAX_FOUND_LINES

    def see(self, line: bytes, location: str = "") -> None:
        """Take a line, which may be JSON from this log or anything else."""
        if self.needle not in line:
            return
        try:
            fields = json.loads(line)  # msgspec refuses lone surrogates, which the log escapes
        except (ValueError, RecursionError):
            self.broken += 1
            return
        if not isinstance(fields, dict) or fields.get("event") not in _OF_REQUESTS:
            return
        name, time = fields.get("request_id"), fields.get("ts")
        if not isinstance(name, str):
            return
        one = FoundLine(time if isinstance(time, str) else "", name, line, fields, location)
        if name == self._wanted:
            self._whole.add(one)
        elif len(self._wanted) >= MIN_BEGINNING_CHARACTERS and name.startswith(self._wanted):
            self._begun.add(one)

    @property
    def _best(self) -> _NewestLines:
        return self._whole if self._whole.count else self._begun


class _NewestLines:
    """The newest lines of those that are added."""

    def __init__(self) -> None:
        self.lines: list[FoundLine] = []
        self.count = 0
        self.ids_differ = False

    def add(self, one: FoundLine) -> None:
        if any(one.fields == known.fields for known in self.lines):  # a log that is named twice, or was copied
            return
        self.count += 1
        self.ids_differ = self.ids_differ or any(one.request_id != known.request_id for known in self.lines)
        self.lines = sorted([one, *self.lines], key=lambda line: line.time, reverse=True)[:MAX_FOUND_LINES]
