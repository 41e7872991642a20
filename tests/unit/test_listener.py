"""Where the service listens, by real sockets in a folder of the test."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import uvloop

from pointsman.app.ports import BindAddress, Port
from pointsman.config.model import ServerOptions
from pointsman.errors import CannotStart
from pointsman.server.byte_budget import ByteBudget
from pointsman.server.client import TrustedProxies
from pointsman.server.limits import ConnectionLimits
from pointsman.server.listener import Listener
from pointsman.server.request import Request
from pointsman.server.response import Response
from pointsman.server.unix_socket import SocketAccess, bound
from support.process import PATIENCE_SECONDS


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    async def answer(_: Request) -> Response:
        return Response(body=b"here")

    limits = ConnectionLimits(5.0, 60.0, 1000, 100, 0, TrustedProxies())
    made = Listener(answer, lambda: limits, lambda _: None, lambda _: None, ByteBudget(1 << 20))
    try:
        yield made
    finally:
        await made.drain(0.0, asyncio.Event())


async def test_a_handler_that_fails_is_told_to_client_and_log(tmp_path: Path) -> None:
    """Nobody waits for ever."""
    logged: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
    async with listening() as listener:
        listener.handler = mock.AsyncMock(side_effect=ZeroDivisionError)
        await listener.listen(f"unix:{tmp_path}/data.sock")
        answer = await asked(tmp_path / "data.sock")
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b'"code":"internal_error"' in answer
    assert [type(context["exception"]) for context in logged] == [ZeroDivisionError]


async def asked(path: Path) -> bytes:
    async with asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        try:
            return await reader.read()
        finally:
            writer.close()


async def test_a_socket_file_that_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "data.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with listening() as listener:
        await listener.listen(f"unix:{path}")
        assert (await asked(path)).endswith(b"here")


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
async def test_a_unix_socket_has_its_mode_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        async with listening() as listener:
            await listener.listen(f"unix:{tmp_path}/data.sock", SocketAccess(mode))
            found = stat.S_IMODE((tmp_path / "data.sock").stat().st_mode)
    finally:
        os.umask(before)
    assert found == mode


def test_nobody_else_may_connect_before_the_socket_has_its_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "chown", lambda path, _, group: seen.append((Path(path).stat().st_mode & 0o777, group)))
    before = os.umask(0)
    try:
        bound(str(tmp_path / "data.sock"), SocketAccess(0o660, "daemon")).close()
    finally:
        os.umask(before)
    assert seen == [(0o600, grp.getgrnam("daemon").gr_gid)]


def test_a_group_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"unix_socket_group: .*no-such-group \(there is no such group\)"):
        bound(str(tmp_path / "data.sock"), SocketAccess(0o660, "no-such-group"))
    assert not (tmp_path / "data.sock").exists()


async def test_an_address_where_another_listens_is_named_and_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "data.sock"
    async with listening() as first, listening() as second:
        await first.listen(f"unix:{path}")
        with pytest.raises(CannotStart, match=f"cannot listen at unix:{path} .Address already in use"):
            await second.listen(f"unix:{path}")
        assert (await asked(path)).endswith(b"here")


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with listening() as listener:
            with pytest.raises(CannotStart, match=f"cannot listen at {address} "):
                await listener.listen(address)


async def test_an_inherited_socket_is_served_until_the_drain(tmp_path: Path) -> None:
    path = tmp_path / "data.sock"
    inherited = socket.socket(socket.AF_UNIX)
    inherited.bind(str(path))
    inherited.listen()
    async with listening() as listener:
        await Port(listener, [BindAddress(f"unix:{path}", inherited)]).open(ServerOptions())
        assert (await asked(path)).endswith(b"here")
        assert inherited.fileno() != -1
    with pytest.raises(OSError, match=r"refused|No such file"):
        await asked(path)


async def test_after_the_drain_no_client_is_watched() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        async with listening() as listener:
            listener.disconnects.watch(ours.fileno(), lambda: None)
            epoll = listener.disconnects._epoll
            assert epoll is not None
        assert epoll.closed


@pytest.mark.parametrize(
    ("address", "family", "made", "where"),
    [
        ("127.0.0.1:8080", socket.AF_INET, "create_server", ("127.0.0.1", 8080)),
        ("unix:data.sock", socket.AF_UNIX, "create_unix_server", ()),
    ],
)
async def test_the_kernel_keeps_2048_connections_of_a_storm(
    address: str, family: socket.AddressFamily, made: str, where: tuple[Any, ...], tmp_path: Path
) -> None:
    """Where it listens itself, and where it was given the socket."""
    address = address.replace("unix:", f"unix:{tmp_path}/")
    async with listening() as listener:
        loop: Any = mock.Mock(create_server=mock.AsyncMock(), create_unix_server=mock.AsyncMock())
        listener.loop = loop
        with socket.socket(family) as given:
            await listener.listen(address)
            await listener.adopt(given)
        first, second = getattr(loop, made).await_args_list
        own = first.kwargs.pop("sock", None)
        assert (first.args[1:], first.kwargs) == (where, {"backlog": 2048})
        if own is not None:
            assert own.getsockname() == address.removeprefix("unix:")
            own.close()
        assert second.kwargs == {"sock": given, "backlog": 2048}
        assert len(loop.method_calls) == 2
        listener._listeners.clear()


@pytest.mark.parametrize("adopted", [False, True])
def test_four_connections_are_accepted_in_a_turn_of_the_event_loop(tmp_path: Path, adopted: bool) -> None:
    """With one in a turn, a flood of connections makes every new client wait: each turn of a busy loop takes long."""
    path, flood = tmp_path / "data.sock", 64

    async def turns() -> int:
        async with listening() as listener:
            if adopted:
                given = socket.socket(socket.AF_UNIX)
                given.bind(str(path))
                given.listen(flood)
                await listener.adopt(given)
            else:
                await listener.listen(f"unix:{path}")
            with contextlib.ExitStack() as stack:
                for _ in range(flood):
                    client = stack.enter_context(socket.socket(socket.AF_UNIX))
                    client.connect(str(path))
                count = 0
                while len(listener.connections) < flood:
                    count += 1
                    await asyncio.sleep(0)
                return count

    async def in_time() -> int:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await turns()

    assert uvloop.run(in_time()) <= flood // 4 + 2
