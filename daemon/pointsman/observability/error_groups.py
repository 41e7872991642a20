"""Group errors by status and message, ignoring the message's ids, numbers, names and paths."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from pointsman.lru import Lru
from pointsman.observability.log_line import cut
from pointsman.observability.record import MAX_ERROR_BYTES, MAX_NAME_BYTES, Record

MAX_GROUPS = 50
# Clients may make up models: later ones in a group share a count, as do those of keys and of endpoints.
MAX_NAMES_PER_GROUP = 8
OTHERS = "other"

# A path, a quotation, and a word with a digit. Each begins where the one before cannot continue, so that a text is read
# once, whatever a client has written into it.
_VARIABLE = re.compile(
    r"""(?<!\S)/\S*|`[^`]*`|"[^"]*"|(?<![\w'])'[^']*'(?!\w)|(?<![\w.-])[A-Za-z_.-]*+\d(?:[\w.:-]|,(?=\d))*+""",
)


def kind_of(message: str) -> str:
    """Return a message without the parts that differ between requests."""
    return _VARIABLE.sub("…", message)


class ErrorGroup(msgspec.Struct):
    """Errors of one kind: their number since `since`, the newest at `at` with its id, and the affected names."""

    status: int
    error: str | None
    """None if vLLM has answered with this status."""
    since: float
    times: int = 0
    at: float = 0.0
    request_id: str = ""
    models: dict[str, int] = msgspec.field(default_factory=dict)
    keys: dict[str, int] = msgspec.field(default_factory=dict)
    endpoints: dict[str, int] = msgspec.field(default_factory=dict)


class _ErrorKind(NamedTuple):
    status: int
    error: str | None


class ErrorGroups:
    """The MAX_GROUPS kinds of errors that came last."""

    def __init__(self) -> None:
        self._groups: Lru[_ErrorKind, ErrorGroup] = Lru(MAX_GROUPS)

    def add(self, record: Record) -> None:
        """Take a request that has ended with an error."""
        error = record.error
        kind = _ErrorKind(record.status, None if error is None else kind_of(cut(error, MAX_ERROR_BYTES)))
        group = self._groups.get(kind)
        if group is None:
            group = ErrorGroup(*kind, since=record.ended)
            self._groups.put(kind, group)
        group.times += 1
        group.at, group.request_id = record.ended, record.request_id
        _count(group.models, record.original_model if record.routed is None else record.routed.decision.model)
        _count(group.keys, record.key)
        _count(group.endpoints, record.endpoint)

    def all(self) -> list[ErrorGroup]:
        """Return the groups, the one with the newest error first."""
        return [group for _, group in self._groups.items()][::-1]


def _count(counts: dict[str, int], name: str | None) -> None:
    if name is None:
        return
    name = cut(name, MAX_NAME_BYTES)
    if name not in counts and len(counts) >= MAX_NAMES_PER_GROUP:
        name = OTHERS
    counts[name] = counts.get(name, 0) + 1
