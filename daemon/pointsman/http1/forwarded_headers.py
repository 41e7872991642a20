"""The headers of a client's request that vLLM gets: end-to-end lines unchanged, in order. Pure."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterable

from pointsman.http1.grammar import HOP_BY_HOP

# A browser's page is answered here, and vLLM's own permissions for pages must not be added to ours.
_REPLACED = frozenset({b"host", b"content-length", b"expect", b"origin", b"x-request-id"})
# vLLM's choice of an engine rank, of the order in its queue and (on /invocations) of another adapter than the body's,
# and this program's headers for clients.
_NEVER = (b"x-data-parallel-", b"x-vllm-", b"x-amzn-sagemaker-", b"x-pointsman-", b"x-vsr-")
_CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key", b"cookie"})
# Headers by which proxies describe a client, which anybody else could invent.
_PROXIED = frozenset(
    {
        b"cf-connecting-ip",
        b"forwarded",
        b"true-client-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-envoy-external-address",
        b"x-real-ip",
    }
)
_PROXIED_TOO = (b"x-forwarded-",)

_NOMINATES_NOTHING = frozenset({b"keep-alive", b"close"})

# Clients use a few dozen names. Longer or further names are judged each time.
_KEPT_VERDICTS = 512
_MAX_KEPT_NAME_BYTES = 64

REQUEST_ID = "[A-Za-z0-9._:-]{1,128}"
"""The form of a request id that a client may choose."""
_REQUEST_ID = re.compile(REQUEST_ID.encode())


class _HeaderFilter:
    """The headers that are forwarded to vLLM, and those that are not, by lower-case name; both sets grow."""

    __slots__ = ("_prefixes", "blocked", "passing")

    def __init__(self, *, credentials: bool, proxied: bool, traced: bool) -> None:
        self.passing: set[bytes] = set()
        self.blocked: set[bytes] = {*HOP_BY_HOP, *_REPLACED}
        if not credentials:
            self.blocked |= _CREDENTIALS
        if not proxied:
            self.blocked |= _PROXIED
        if traced:
            self.blocked.add(b"traceparent")
        self._prefixes = _NEVER if proxied else (*_NEVER, *_PROXIED_TOO)

    def judge(self, name: bytes) -> bool:
        """Return whether a header of a new name is forwarded."""
        passes = not name.startswith(self._prefixes)
        if len(self.passing) + len(self.blocked) < _KEPT_VERDICTS and len(name) <= _MAX_KEPT_NAME_BYTES:
            (self.passing if passes else self.blocked).add(name)
        return passes


_VERDICTS = {
    flags: _HeaderFilter(credentials=flags[0], proxied=flags[1], traced=flags[2])
    for flags in itertools.product((False, True), repeat=3)
}


def forwarded_headers(
    fields: Iterable[tuple[bytes, bytes]],
    connection: bytes | None,
    *,
    credentials: bool,
    proxied: bool = False,
    traced: bool = False,
) -> bytes:
    """Serialize end-to-end headers from (lower-case name, raw line) pairs, each line with its CRLF.

    Headers that `connection`, the value of the client's `Connection`, nominates are left out, and so are the client's
    credentials unless `credentials`, headers by which proxies describe a client unless it is `proxied` by a trusted
    one, and if the request is `traced` the client's span, as vLLM gets ours.
    """
    verdicts = _VERDICTS[credentials, proxied, traced]
    passing, blocked, judge = verdicts.passing, verdicts.blocked, verdicts.judge
    if connection is not None and connection.lower() not in _NOMINATES_NOTHING:
        nominated = {token.strip(b" \t") for token in connection.lower().split(b",")}
        fields = [field for field in fields if field[0] not in nominated]
    lines = [line for name, line in fields if name in passing or (name not in blocked and judge(name))]
    lines.append(b"")
    return b"\r\n".join(lines)


def request_id(given: bytes | None) -> str:
    """Return the client's request id if it is short and plain (vLLM repeats it in every chunk), else a new one."""
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode()
    return f"{random.getrandbits(128):032x}"
