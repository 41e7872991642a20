"""What the benchmark of a request without sockets sends."""

from __future__ import annotations

import json

import path
import pytest


@pytest.mark.parametrize(("turns", "size"), path.REQUESTS.values())
def test_a_body_has_its_turns_and_its_size(turns: int, size: int) -> None:
    body = path.body(size, turns, path.HIT)
    roles = [message["role"] for message in json.loads(body)["messages"]]
    assert size - 4 * turns <= len(body) <= size
    assert roles == ["system", "user", *["assistant", "user"] * (turns - 1)]


def test_a_request_comes_in_reads_of_a_socket() -> None:
    pieces = path.pieces_of(b"a" * 600_000)
    assert [len(piece) for piece in pieces[:-1]] == [256 * 1024] * 2
    assert b"".join(pieces).endswith(b"Content-Length: 600000\r\n\r\n" + b"a" * 600_000)
