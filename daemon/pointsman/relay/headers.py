"""Which headers cross, in each direction. Pure.

End-to-end headers cross verbatim and in order, with every value of a repeated one. Hop-by-hop headers and those that
`Connection` nominates stay (RFC 9110, section 7.6.1).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable

Pairs = list[tuple[str, str]]

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authorization",  # meant for us, the next hop
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# vLLM reads these to pick an engine rank: a client must not steer it.
_STEERING = frozenset({"x-data-parallel-rank", "x-data-parallel-host"})
_CREDENTIALS = frozenset({"authorization", "x-api-key", "api-key", "cookie"})
_OURS = frozenset({"host", "content-length", "expect", "x-request-id"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}")

RESPONSE_BLOCKED = _HOP_BY_HOP | {"x-request-id"}


def to_upstream(
    pairs: Iterable[tuple[str, str]], *, request_id: str, api_key: str | None, pass_credentials: bool
) -> Pairs:
    """The client's headers as vLLM gets them; `api_key` is vLLM's own and replaces the client's."""
    blocked = _HOP_BY_HOP | _STEERING | _OURS
    if api_key is not None or not pass_credentials:
        blocked |= _CREDENTIALS
    kept = _end_to_end(pairs, blocked)
    kept.append(("X-Request-Id", request_id))
    if api_key is not None:
        kept.append(("Authorization", f"Bearer {api_key}"))
    return kept


def to_client(pairs: Iterable[tuple[str, str]]) -> Pairs:
    """vLLM's headers as the client gets them."""
    return _end_to_end(pairs, RESPONSE_BLOCKED)


def request_id(given: str | None) -> str:
    """The client's own id where it is short and plain (vLLM repeats it in every chunk), else a new one."""
    return given if given is not None and _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _end_to_end(pairs: Iterable[tuple[str, str]], blocked: frozenset[str]) -> Pairs:
    pairs = list(pairs)
    nominated = {
        token.strip().lower() for name, value in pairs if name.lower() == "connection" for token in value.split(",")
    }
    return [(name, value) for name, value in pairs if name.lower() not in blocked and name.lower() not in nominated]
