"""The headers of a client's request that vLLM gets: end-to-end lines as they came, in order. Pure."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable

from pointsman.http1.grammar import HOP_BY_HOP

# vLLM reads these to pick an engine rank; a client must not.
_STEERING = frozenset({b"x-data-parallel-rank", b"x-data-parallel-host"})
# The router's, from clients.
_OURS = frozenset({b"x-pointsman-ask"})
_CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key", b"cookie"})
_REPLACED = frozenset({b"host", b"content-length", b"expect", b"x-request-id"})
_BLOCKED = HOP_BY_HOP | _STEERING | _REPLACED | _OURS
_BLOCKED_WITH_CREDENTIALS = _BLOCKED | _CREDENTIALS

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:\-]{1,128}")


def forwarded_headers(fields: Iterable[tuple[bytes, bytes]], connection: bytes | None, *, credentials: bool) -> bytes:
    """Serialise end-to-end headers from (lower-case name, raw line) pairs, each line with its CRLF.

    Headers that `connection`, the value of the client's `Connection`, nominates are left out, and so are the client's
    credentials unless `credentials`.
    """
    blocked = _BLOCKED if credentials else _BLOCKED_WITH_CREDENTIALS
    if connection is not None:
        blocked = blocked | {token.strip(b" \t") for token in connection.lower().split(b",")}
    lines = [line for name, line in fields if name not in blocked]
    lines.append(b"")
    return b"\r\n".join(lines)


def request_id(given: bytes | None) -> str:
    """Return the client's request id if it is short and plain (vLLM repeats it in every chunk), else a new one."""
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode()
    return f"{random.getrandbits(128):032x}"
