"""What tells clients apart."""

from __future__ import annotations

import tracemalloc

import pytest

from pointsman.http1.request_head import read_head
from pointsman.proxy.client_identity import client_identity

KIB = 1024


def identity(key: str) -> str:
    head, _ = read_head(f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
    return client_identity(head)


@pytest.mark.thorough
@pytest.mark.parametrize(("key_bytes", "clients", "max_mib"), [(960, 4000, 3), (6 * KIB, 2000, 2)])
def test_the_identities_of_512_clients_at_most_are_kept_and_no_long_key(
    key_bytes: int, clients: int, max_mib: int
) -> None:
    """Keys of all clients would take 4 and 12 MiB, 512 of the long ones 3; the heads of the short ones are kept."""
    first = identity("0" * key_bytes)
    tracemalloc.start()
    try:
        found = {identity(f"{number:06}".ljust(key_bytes, "x")) for number in range(1, clients)}
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found | {first}) == clients
    assert taken < max_mib * KIB * KIB
    assert identity("0" * key_bytes) == first
