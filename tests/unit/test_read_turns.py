"""What comes fast, from clients and from vLLM: how much of it is read in one turn of the event loop."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pointsman.config.model import AdapterOptions
from support.playbook import STREAM, Wire, chunk, playing, post, with_length
from support.virtual_loop import FakeTransport

TURN, LONG = 256_000, 16_384
"""The bytes of a turn, and of the shortest read that counts."""
HEAD = post().partition(b"\r\n\r\n")[0].rpartition(b": ")[0] + b": 10000000\r\n\r\n"


def reading_in_each_turn(wire: Wire, senders: Sequence[FakeTransport], data: bytes) -> list[list[bool]]:
    """All send at once; which of them are read from then, and after each of the next turns."""
    seen: list[list[bool]] = []

    def look() -> None:
        seen.append([sender.reading for sender in senders])
        if len(seen) <= len(senders):
            wire.clock.call_soon(look)

    def send() -> None:
        for sender in senders:
            sender._protocol.data_received(data)
        look()

    wire.clock.do(send)
    return seen


def clients(wire: Wire, count: int) -> list[FakeTransport]:
    """Their bodies have begun."""
    made = [wire.connect(f"192.0.2.{number}") for number in range(count)]
    for client in made:
        client.sends(HEAD)
    return made


def answering(wire: Wire, count: int, start: bytes = with_length(b"", length=10**7)) -> list[FakeTransport]:
    """Connections to vLLM whose answers have begun."""
    for number in range(count):
        wire.connect(f"192.0.2.{number}").sends(post())
    for connection in wire.a.connections:
        connection.sends(start)
    return wire.a.connections


def websockets(wire: Wire, count: int) -> None:
    offer = "GET /v1/realtime HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    for number in range(count):
        wire.connect(f"192.0.2.{number}").sends((offer + key).encode())
        wire.upstream.sends(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")


def senders(wire: Wire, who: str, count: int = 3) -> list[FakeTransport]:
    match who:
        case "bodies":
            return clients(wire, count)
        case "what is ignored":
            refused = clients(wire, count)
            for client in refused:
                client._protocol._reader.deaf = True
            return refused
        case "answers":
            return answering(wire, count)
        case "streams":
            return answering(wire, count, STREAM + b"989680\r\n")
    websockets(wire, count)
    return wire.a.connections if who == "websockets of vLLM" else wire._clients[1:]


@pytest.mark.parametrize(
    "who", ["bodies", "what is ignored", "answers", "streams", "websockets of clients", "websockets of vLLM"]
)
def test_after_the_bytes_of_a_turn_each_waits_for_its_own(wire: Wire, who: str) -> None:
    """However many send, one more of them is read from in a turn."""
    seen = reading_in_each_turn(wire, senders(wire, who), b" " * TURN)
    assert [sum(reading) for reading in seen] == [0, 1, 2, 3]


def test_answers_that_are_read_whole_are_read_in_turn_too() -> None:
    """Here the lists of models of both endpoints."""
    with playing(adapters=AdapterOptions(poll_interval_ms=10_000)) as wire:
        polls = []
        for vllm in (wire.a, wire.b):
            vllm.connects()
            polls += vllm.connections
            polls[-1].sends(with_length(b" ", length=10**6))
        seen = reading_in_each_turn(wire, polls, b" " * TURN)
    assert [sum(reading) for reading in seen] == [0, 1, 2]


@pytest.mark.parametrize("who", ["bodies", "answers", "websockets of vLLM"])
def test_short_parts_are_read_at_once(wire: Wire, who: str) -> None:
    """An event of a stream is neither delayed nor counted."""
    seen = reading_in_each_turn(wire, senders(wire, who, 17), b" " * (LONG - 1))
    assert [sum(reading) for reading in seen] == [17] * 18


def test_all_together_have_the_bytes_of_a_turn(wire: Wire) -> None:
    """Half of it each, of clients and of vLLM: the first is read on, and after the second both who follow wait."""
    both = [*clients(wire, 2), *answering(wire, 2)]
    seen = reading_in_each_turn(wire, both, b" " * (TURN // 2))
    assert seen == [
        [True, False, False, False],
        [True, True, False, False],
        [True] * 3 + [False],
        [True] * 4,
        [True] * 4,
    ]


def test_after_a_wait_the_next_turn_has_as_much(wire: Wire) -> None:
    connections = answering(wire, 1)
    assert [reading_in_each_turn(wire, connections, b" " * size)[0] for size in (TURN, TURN - 1, 1)] == [
        [False],
        [True],
        [True],
    ]


def test_after_a_whole_answer_no_connection_waits(wire: Wire) -> None:
    """It may get another request, whose answer would wait."""
    connections = answering(wire, 2, with_length(b"", length=TURN))
    seen = reading_in_each_turn(wire, connections, b" " * TURN)
    assert seen[0] == [True, True]
    assert set(wire.pooled) == set(connections)


def test_after_a_whole_answer_of_as_much_others_wait(wire: Wire) -> None:
    whole, longer = answering(wire, 1, with_length(b"", length=TURN))[0], clients(wire, 1)[0]
    seen: list[bool] = []

    def send() -> None:
        whole._protocol.data_received(b" " * TURN)
        longer._protocol.data_received(b" " * LONG)
        seen.append(longer.reading)

    wire.clock.do(send)
    assert seen == [False]


def test_who_leaves_before_its_turn_takes_nobody_elses(wire: Wire) -> None:
    senders = clients(wire, 3)

    def send_and_leave() -> None:
        for client in senders:
            client._protocol.data_received(b" " * TURN)
        senders[0].abort()

    wire.clock.do(send_and_leave)
    assert [client.reading for client in senders] == [False, True, True]


@pytest.mark.parametrize("who", ["answers", "websockets of vLLM", "websockets of clients"])
def test_whose_other_side_does_not_read_has_no_turn(wire: Wire, who: str) -> None:
    (sender,) = senders(wire, who, 1)
    (reader,) = {*wire._clients[1:], *wire.a.connections} - {sender}
    reader.pauses()
    sender.sends(b" " * TURN)
    assert not sender.reading
    reader.reads_on()
    assert sender.reading


@pytest.mark.parametrize("who", ["answers", "websockets of vLLM", "websockets of clients"])
def test_many_whose_other_sides_read_on_at_once_are_read_in_turn(wire: Wire, who: str) -> None:
    """As after a proxy before us has stood still."""
    these = senders(wire, who)
    readers = (wire._clients[1:], wire.a.connections)[who == "websockets of clients"]
    for reader, sender in zip(readers, these, strict=True):
        reader.pauses()
        sender.sends(b" ")
    seen: list[int] = []

    def look() -> None:
        seen.append(sum(sender.reading for sender in these))
        if len(seen) < 4:
            wire.clock.call_soon(look)

    def read_on() -> None:
        for reader in readers:
            reader._flush()
        look()

    wire.clock.do(read_on)
    assert seen == [0, 1, 2, 3]


def test_an_event_of_a_stream_is_passed_on_while_others_wait(wire: Wire) -> None:
    """It comes in the turn in which it was read."""
    *long, stream = answering(wire, 3, STREAM)
    got: list[bytes] = []

    def send() -> None:
        for connection in long:
            connection._protocol.data_received(chunk(b" " * TURN))
        stream._protocol.data_received(chunk(b"data: {}\n\n"))
        got.append(wire._clients[-1].taken)

    wire.clock.do(send)
    assert got[0].endswith(chunk(b"data: {}\n\n"))
    assert stream.reading
