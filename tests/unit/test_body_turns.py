"""Long bodies that become whole in the same turn of the event loop are read in several turns."""

from __future__ import annotations

import itertools

import pytest

from pointsman.config import paths
from pointsman.routing import steps
from support.playbook import Wire

LONG, COUNT = 4096, 6
"""The shortest body that may wait for a turn."""
READ = [
    path.path for path in (*paths.ROUTED, *paths.OWN.values()) if path.method == "POST" and path.path != "/v1/feedback"
]


def answered_in_each_turn(wire: Wire, path: str, size: int, *, whole: bool) -> list[int]:
    """Clients send what is no JSON, `whole` or its last byte at once; how many have their 400 after each turn."""
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
    clients = [wire.connect(f"192.0.2.{number}") for number in range(COUNT)]
    request = head.encode() + b"x" * size
    first = 0 if whole else len(request) - 1
    for client in clients:
        client.sends(request[:first])
    seen: list[int] = []

    def look() -> None:
        seen.append(sum(b"HTTP/1.1 400 " in client.written for client in clients))
        if len(seen) < 10 * COUNT:
            wire.clock.call_soon(look)

    def send() -> None:
        for client in clients:
            client._protocol.data_received(request[first:])
        look()

    wire.clock.do(send)
    assert seen[-1] == COUNT
    return [after - before for before, after in itertools.pairwise([0, *seen])]


def slow(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let each body take so long."""
    now = itertools.count()
    monkeypatch.setattr(steps, "perf_counter", lambda: next(now) * seconds)


@pytest.mark.parametrize("path", READ)
@pytest.mark.parametrize("whole", [False, True])
def test_of_long_bodies_that_are_whole_at_once_as_many_begin_in_a_turn_as_take_two_milliseconds(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, path: str, whole: bool
) -> None:
    """Each may take 30 ms, so that a hundred would stop all others for seconds."""
    slow(monkeypatch, 0.003)
    answered = answered_in_each_turn(wire, path, LONG, whole=whole)
    assert [count for count in answered if count] == [1] * COUNT
    slow(monkeypatch, 0.0009)
    answered = answered_in_each_turn(wire, path, LONG, whole=whole)
    assert [count for count in answered if count] == [3, 2, 1]


@pytest.mark.parametrize(("size", "seconds"), [(LONG - 1, 1.0), (LONG, 0.0001)])
def test_short_ones_and_quick_ones_wait_for_no_turn(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, size: int, seconds: float
) -> None:
    slow(monkeypatch, seconds)
    assert answered_in_each_turn(wire, "/v1/chat/completions", size, whole=True)[0] == COUNT
