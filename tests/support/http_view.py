"""A client's view of the received bytes: for tests that ask whether an answer looks complete."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer as far as it came. `whole`: its framing says that nothing is missing."""

    status: int
    head: bytes
    body: bytes
    whole: bool


def seen(data: bytes, *, closed: bool = False) -> Seen | None:
    """Read the answer that `data` is; None while its head is not there. `closed`: its connection has ended well."""
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        return None
    status = int(head.split(b" ")[1])
    lower = head.lower()
    if b"\r\ntransfer-encoding: chunked" in lower:
        body, whole = _chunks(rest)
        return Seen(status, head, body, whole)
    _, length, value = lower.partition(b"\r\ncontent-length:")
    if length:
        return Seen(status, head, rest, len(rest) == int(value.split(b"\r\n")[0]))
    return Seen(status, head, rest, closed)


def _chunks(data: bytes) -> tuple[bytes, bool]:
    """The content of chunks, and whether the last one is there."""
    body = b""
    while b"\r\n" in data:
        line, _, data = data.partition(b"\r\n")
        size = int(line, 16)
        if not size:
            assert data == b"\r\n", data
            return body, True
        body += data[:size]
        data = data[size + 2 :]
    return body, False
