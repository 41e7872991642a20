"""Handshakes of TLS are bounded, and counted where they fail; and how a connection over TLS ends."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest import mock

import pytest

from pointsman.server.byte_budget import ByteBudget
from pointsman.server.connection_timer import ConnectionTimer
from pointsman.server.listener import Listener
from support.process import PATIENCE_SECONDS


class Made:
    def __init__(self, connections: int) -> None:
        self.refused: list[str] = []
        limits = mock.Mock(max_connections=connections)
        unused: Any = mock.Mock()
        self.listener = Listener(unused, lambda: limits, self.refused.append, unused, mock.Mock(spec=ByteBudget))


@pytest.fixture(params=[4, 20])
async def made(request: pytest.FixtureRequest) -> Made:
    return Made(request.param)


async def test_sixteen_may_negotiate_however_few_connections_are_left_and_the_oldest_makes_room(made: Made) -> None:
    room = max(16, made.listener.limits().max_connections)
    handshakes: list[Any] = [mock.Mock(name=f"{number}") for number in range(room + 2)]
    for handshake in handshakes:
        made.listener.negotiating(handshake)

    assert [handshake.abort.called for handshake in handshakes] == [True, True, *[False] * room]


async def test_one_that_is_done_or_failed_takes_no_room(made: Made) -> None:
    room = max(16, made.listener.limits().max_connections)
    handshakes: list[Any] = [mock.Mock() for _ in range(room + 2)]
    for handshake in handshakes[:room]:
        made.listener.negotiating(handshake)
    made.listener.negotiated(handshakes[0])
    made.listener.not_negotiated(handshakes[1])
    for handshake in handshakes[room:]:
        made.listener.negotiating(handshake)

    assert not any(handshake.abort.called for handshake in handshakes)
    assert made.refused == ["tls"]


async def _turns() -> None:
    """Let the event loop do what is ready."""
    for _ in range(30):
        await asyncio.sleep(0)


async def test_the_end_waits_for_a_handshake_which_has_two_seconds_left(made: Made) -> None:
    """Also once the last connection has closed: the client's request may follow the handshake."""
    made.listener.loop = loop = mock.Mock()
    handshake: Any = mock.Mock()
    made.listener.negotiating(handshake)
    stopping = asyncio.create_task(made.listener.drain(PATIENCE_SECONDS, asyncio.Event()))
    await _turns()
    loop.call_later.assert_called_once_with(2.0, handshake.abort)

    made.listener.closed(mock.Mock())
    await _turns()
    assert not stopping.done()

    made.listener.not_negotiated(handshake)
    await _turns()
    assert stopping.done()


class _Loop:
    def __init__(self) -> None:
        self.later: list[float] = []

    def time(self) -> float:
        return 100.0

    def call_later(self, seconds: float, _: object) -> mock.Mock:
        self.later.append(seconds)
        return mock.Mock()


@pytest.mark.parametrize(
    ("linger", "buffered", "closes_beneath"), [(False, 0, True), (False, 9, False), (True, 0, False)]
)
def test_a_connection_over_tls_says_goodbye_and_ends_beneath_once_all_is_sent(
    linger: bool, buffered: int, closes_beneath: bool
) -> None:
    """A client that is still sending, or has not read all, may do so first."""
    loop: Any = _Loop()
    connection: Any = mock.Mock()
    connection.transport.get_write_buffer_size.return_value = buffered
    owner: Any = mock.Mock()
    owner.limits.return_value = mock.Mock(header_timeout=3.0, send_timeout=60.0)
    ConnectionTimer(connection, owner, loop).end(linger=linger)

    connection.transport.close.assert_called_once_with()
    assert connection.beneath.close.called is closes_beneath
    assert loop.later[-1] == (2.0 if linger else 60.0)
