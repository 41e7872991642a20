"""TLS on an accepted connection, without sockets: what came early is not lost, and nothing follows a failure."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any
from unittest import mock

import pytest

from pointsman.server.handshake import Handshake
from pointsman.server.limits import ConnectionLimits

HELLO = b"\x16\x03\x01"
"""The beginning of a record of TLS."""


class Loop:
    """Negotiates until the test says how it ends."""

    def __init__(self) -> None:
        self.waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.begun = False
        self.timer = mock.Mock()
        self.later: list[tuple[float, Any]] = []
        self.soon: list[tuple[Any, ...]] = []

    async def start_tls(self, *_: Any, **__: Any) -> Any:
        self.begun = True
        return await self.waiter

    def call_later(self, seconds: float, work: Any) -> mock.Mock:
        self.later.append((seconds, work))
        return self.timer

    def call_soon(self, work: Any, *arguments: Any) -> None:
        self.soon.append((work, *arguments))


class Owner:
    """The listener; `connection` is what follows."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.draining = False
        self.connection = mock.Mock()
        self.events: list[str] = []

    def limits(self) -> ConnectionLimits:
        return mock.Mock(header_timeout=3.0, send_timeout=60.0)

    def negotiating(self, _: Handshake) -> None:
        self.events.append("negotiating")

    def negotiated(self, _: Handshake) -> Any:
        self.events.append("negotiated")
        return self.connection

    def in_plain(self, _: Handshake) -> Any:
        self.events.append("in plain")
        return self.connection

    def not_negotiated(self, _: Handshake) -> None:
        self.events.append("not negotiated")


@pytest.fixture
async def owner() -> Owner:
    return Owner()


def made(owner: Owner) -> tuple[Handshake, mock.Mock]:
    """An accepted connection whose client has said nothing."""
    listener: Any = owner
    handshake, beneath = Handshake(listener, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)), mock.Mock()
    beneath.is_closing.return_value = False
    handshake.connection_made(beneath)
    return handshake, beneath


def begun(owner: Owner) -> tuple[Handshake, mock.Mock]:
    handshake, beneath = made(owner)
    handshake.data_received(HELLO)
    return handshake, beneath


async def test_it_begins_with_the_first_bytes_before_others_can_come(owner: Owner) -> None:
    """Not in a task: the event loop may read before that runs, and the bytes would be lost."""
    begun(owner)
    assert owner.events == ["negotiating"]
    assert owner.loop.begun


async def test_the_protocol_of_tls_gets_the_first_bytes_once_it_is_in_place(owner: Owner) -> None:
    _, beneath = begun(owner)
    buffer = bytearray(8)
    beneath.get_protocol.return_value.get_buffer.return_value = buffer
    ((work, *arguments),) = owner.loop.soon
    work(*arguments)

    assert buffer[:3] == HELLO
    beneath.get_protocol.return_value.buffer_updated.assert_called_once_with(3)


async def test_whoever_left_meanwhile_gives_it_nothing(owner: Owner) -> None:
    _, beneath = begun(owner)
    beneath.is_closing.return_value = True
    ((work, *arguments),) = owner.loop.soon
    work(*arguments)

    assert not beneath.get_protocol.called


async def test_the_whole_handshake_has_the_time_of_a_head(owner: Owner) -> None:
    """From the beginning of the connection on, whenever its first byte comes."""
    _, beneath = begun(owner)
    assert owner.loop.later == [(3.0, beneath.abort)]
    assert not owner.loop.timer.cancel.called

    owner.loop.waiter.set_exception(ConnectionResetError())
    await asyncio.sleep(0)
    owner.loop.timer.cancel.assert_called_once_with()


async def test_a_client_that_leaves_without_a_word_has_failed(owner: Owner) -> None:
    handshake, _ = made(owner)
    handshake.connection_lost(None)

    assert owner.events == ["negotiating", "not negotiated"]
    owner.loop.timer.cancel.assert_called_once_with()


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"P", b"options * HTTP/1.0\r\n"])
async def test_a_request_without_tls_is_for_a_connection_that_says_so(owner: Owner, data: bytes) -> None:
    """With its first byte: nothing is negotiated."""
    handshake, beneath = made(owner)
    handshake.data_received(data)

    assert owner.events == ["negotiating", "in plain"]
    assert not owner.loop.begun
    beneath.set_protocol.assert_called_once_with(owner.connection)
    assert owner.connection.mock_calls == [mock.call.connection_made(beneath)]
    owner.loop.timer.cancel.assert_called_once_with()


@pytest.mark.parametrize("first", [0, 13, 20, 22, 24, 0x80, 255])
async def test_what_begins_with_no_letter_is_left_to_tls(owner: Owner, first: int) -> None:
    handshake, _ = made(owner)
    handshake.data_received(bytes([first]))

    assert owner.loop.begun


async def test_what_came_with_its_end_is_read_by_the_connection(owner: Owner) -> None:
    handshake, beneath = begun(owner)
    handshake.data_received(b"GET / ")
    handshake.data_received(b"HTTP/1.1\r\n")
    transport = mock.Mock()
    transport.is_closing.return_value = False
    owner.loop.waiter.set_result(transport)
    await asyncio.sleep(0)

    assert owner.events == ["negotiating", "negotiated"]
    transport.set_protocol.assert_called_once_with(owner.connection)
    assert owner.connection.beneath is beneath
    assert owner.connection.mock_calls == [
        mock.call.connection_made(transport),
        mock.call.data_received(b"GET / "),
        mock.call.data_received(b"HTTP/1.1\r\n"),
    ]


async def test_a_client_that_does_not_read_holds_64_kib_as_without_tls(owner: Owner) -> None:
    begun(owner)
    transport = mock.Mock()
    transport.is_closing.return_value = False
    owner.loop.waiter.set_result(transport)
    await asyncio.sleep(0)

    transport.set_write_buffer_limits.assert_called_once_with(65_536)


@pytest.mark.parametrize("error", [ssl.SSLError("no"), ConnectionResetError(), TimeoutError()])
async def test_after_a_failure_the_connection_is_closed(owner: Owner, error: OSError) -> None:
    _, beneath = begun(owner)
    owner.loop.waiter.set_exception(error)
    await asyncio.sleep(0)

    assert owner.events == ["negotiating", "not negotiated"]
    beneath.abort.assert_called_once_with()
    assert owner.connection.mock_calls == []


async def test_a_client_that_left_meanwhile_has_no_connection(owner: Owner) -> None:
    """The event loop then ends the negotiation as if it were done."""
    begun(owner)
    transport = mock.Mock()
    transport.is_closing.return_value = True
    owner.loop.waiter.set_result(transport)
    await asyncio.sleep(0)

    assert owner.events == ["negotiating", "not negotiated"]


async def test_while_the_service_stops_the_connection_is_told(owner: Owner) -> None:
    begun(owner)
    owner.draining = True
    transport = mock.Mock()
    transport.is_closing.return_value = False
    owner.loop.waiter.set_result(transport)
    await asyncio.sleep(0)

    assert owner.connection.mock_calls == [mock.call.connection_made(transport), mock.call.drain()]
