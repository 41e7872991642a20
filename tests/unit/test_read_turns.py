"""Long bodies that come fast: how much of them is read in one turn of the event loop."""

from __future__ import annotations

import pytest

from support.playbook import Wire, post
from support.virtual_loop import FakeTransport

LONG, SHORT = 65_536, 65_535
HEAD = post().partition(b"\r\n\r\n")[0].rpartition(b": ")[0] + b": 10000000\r\n\r\n"


def reading_in_each_turn(wire: Wire, clients: list[FakeTransport], data: bytes) -> list[list[bool]]:
    """All clients send at once; which of them are read from then, and after each of the next turns."""
    seen: list[list[bool]] = []

    def look() -> None:
        seen.append([client.reading for client in clients])
        if len(seen) <= len(clients):
            wire.clock.call_soon(look)

    def send() -> None:
        for client in clients:
            client._protocol.data_received(data)
        look()

    wire.clock.do(send)
    return seen


def uploading(wire: Wire, count: int) -> list[FakeTransport]:
    clients = [wire.connect(f"192.0.2.{number}") for number in range(count)]
    for client in clients:
        client.sends(HEAD)
    return clients


def test_after_a_long_part_of_a_body_each_waits_for_its_turn(wire: Wire) -> None:
    """However many clients send, one more of them is read from in a turn."""
    seen = reading_in_each_turn(wire, uploading(wire, 3), b" " * LONG)
    assert [sum(reading) for reading in seen] == [0, 1, 2, 3]


def test_what_is_ignored_is_read_in_turn_too(wire: Wire) -> None:
    """The rest of a body that was refused may be as long."""
    clients = uploading(wire, 3)
    for client in clients:
        client._protocol._reader.deaf = True
    seen = reading_in_each_turn(wire, clients, b" " * LONG)
    assert [sum(reading) for reading in seen] == [0, 1, 2, 3]


def test_who_leaves_before_its_turn_takes_nobody_elses(wire: Wire) -> None:
    clients = uploading(wire, 3)

    def send_and_leave() -> None:
        for client in clients:
            client._protocol.data_received(b" " * LONG)
        clients[0].abort()

    wire.clock.do(send_and_leave)
    assert [client.reading for client in clients] == [False, True, True]


@pytest.mark.parametrize("data", [b" " * SHORT, b""])
def test_short_parts_are_read_at_once(wire: Wire, data: bytes) -> None:
    seen = reading_in_each_turn(wire, uploading(wire, 3), data)
    assert [sum(reading) for reading in seen] == [3, 3, 3, 3]
