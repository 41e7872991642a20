"""TLS on an accepted connection, without sockets: what came early is not lost, and nothing follows a failure."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any
from unittest import mock

import pytest

from pointsman.server.handshake import Handshake
from pointsman.server.limits import Limits


class Loop:
    """Negotiates until the test says how it ends."""

    def __init__(self) -> None:
        self.waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.asked: dict[str, Any] = {}

    async def start_tls(self, *_: Any, **asked: Any) -> Any:
        self.asked = asked
        return await self.waiter


class Owner:
    """The listener; `connection` is what follows."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.draining = False
        self.connection = mock.Mock()
        self.told: list[str] = []

    def limits(self) -> Limits:
        return mock.Mock(header_timeout=3.0, send_timeout=60.0)

    def negotiating(self, _: Handshake) -> None:
        self.told.append("negotiating")

    def negotiated(self, _: Handshake) -> Any:
        self.told.append("negotiated")
        return self.connection

    def not_negotiated(self, _: Handshake) -> None:
        self.told.append("not negotiated")


@pytest.fixture
async def owner() -> Owner:
    return Owner()


def begun(owner: Owner) -> tuple[Handshake, mock.Mock]:
    made: Any = owner
    handshake, beneath = Handshake(made, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)), mock.Mock()
    handshake.connection_made(beneath)
    return handshake, beneath


async def test_it_begins_before_the_first_bytes_can_come(owner: Owner) -> None:
    """Not in a task: the event loop may read before that runs, and the bytes would be lost."""
    begun(owner)
    assert owner.told == ["negotiating"]
    assert owner.loop.asked["ssl_handshake_timeout"] == 3.0


async def test_what_came_with_its_end_is_read_by_the_connection(owner: Owner) -> None:
    handshake, beneath = begun(owner)
    handshake.data_received(b"GET / ")
    handshake.data_received(b"HTTP/1.1\r\n")
    transport = mock.Mock()
    transport.is_closing.return_value = False
    owner.loop.waiter.set_result(transport)
    await asyncio.sleep(0)

    assert owner.told == ["negotiating", "negotiated"]
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

    assert owner.told == ["negotiating", "not negotiated"]
    beneath.abort.assert_called_once_with()
    assert owner.connection.mock_calls == []


async def test_a_client_that_left_meanwhile_has_no_connection(owner: Owner) -> None:
    """The event loop then ends the negotiation as if it were done."""
    begun(owner)
    transport = mock.Mock()
    transport.is_closing.return_value = True
    owner.loop.waiter.set_result(transport)
    await asyncio.sleep(0)

    assert owner.told == ["negotiating", "not negotiated"]


async def test_while_the_service_stops_the_connection_is_told(owner: Owner) -> None:
    begun(owner)
    owner.draining = True
    transport = mock.Mock()
    transport.is_closing.return_value = False
    owner.loop.waiter.set_result(transport)
    await asyncio.sleep(0)

    assert owner.connection.mock_calls == [mock.call.connection_made(transport), mock.call.drain()]
