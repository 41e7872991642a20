"""What tells clients apart."""

from __future__ import annotations

import tracemalloc

from pointsman.http1.request_head import read_head
from pointsman.proxy.client_identity import client_identity

KIB = 1024


def identity(key: str) -> str:
    head, _ = read_head(f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
    return client_identity(head)


def test_the_identities_of_512_clients_at_most_are_kept() -> None:
    """Keys of 6 KiB each, whose heads are too long to be kept: those of all would take 12 MiB."""
    first = identity("0" * 6 * KIB)
    tracemalloc.start()
    try:
        found = {identity(f"{number:06}" * KIB) for number in range(1, 2000)}
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found | {first}) == 2000
    assert taken < 4 * KIB * KIB
    assert identity("0" * 6 * KIB) == first
