"""That a client leaves is noticed though its connection is not read from."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from pointsman.server.disconnect_watcher import DisconnectWatcher
from support.process import PATIENCE_SECONDS

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Our end of a connection, with bytes that nobody reads, and the client's."""
    ours, theirs = socket.socketpair()
    theirs.send(b"unread")
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("leaving", ["close", "shutdown"])
async def test_the_end_of_the_other_side_is_told_once(pair: Pair, leaving: str) -> None:
    ours, theirs = pair
    events: asyncio.Queue[str] = asyncio.Queue()
    disconnects = DisconnectWatcher(asyncio.get_running_loop())
    disconnects.watch(ours.fileno(), lambda: events.put_nowait("left"))
    await asyncio.sleep(0)
    assert events.empty(), "it has only sent something"
    if leaving == "close":
        theirs.close()
    else:
        theirs.shutdown(socket.SHUT_WR)
    assert await asyncio.wait_for(events.get(), PATIENCE_SECONDS) == "left"
    await asyncio.sleep(0)
    assert events.empty()
    disconnects.close()


async def test_one_that_is_forgotten_is_not_told_of_and_the_next_of_its_number_is(pair: Pair) -> None:
    ours, theirs = pair
    events: asyncio.Queue[str] = asyncio.Queue()
    disconnects = DisconnectWatcher(asyncio.get_running_loop())
    first = disconnects.watch(ours.fileno(), lambda: events.put_nowait("first"))
    disconnects.forget(first)
    disconnects.watch(ours.fileno(), lambda: events.put_nowait("second"))
    disconnects.forget(first)
    theirs.close()
    assert await asyncio.wait_for(events.get(), PATIENCE_SECONDS) == "second"
    assert events.empty()
    disconnects.close()


async def test_one_whose_socket_was_closed_first_is_forgotten_all_the_same(pair: Pair) -> None:
    ours, _ = pair
    disconnects = DisconnectWatcher(asyncio.get_running_loop())
    watch = disconnects.watch(ours.fileno(), lambda: None)
    ours.close()
    disconnects.forget(watch)
    disconnects.forget(watch)
    disconnects.close()
    disconnects.close()


async def test_nothing_is_left_of_what_was_closed(pair: Pair) -> None:
    ours, _ = pair
    disconnects = DisconnectWatcher(asyncio.get_running_loop())
    watch = disconnects.watch(ours.fileno(), lambda: None)
    epoll = disconnects._epoll
    assert epoll is not None
    disconnects.close()
    disconnects.forget(watch)
    assert epoll.closed
    assert not disconnects._watches


async def test_a_call_without_news_does_not_wait_for_any(pair: Pair) -> None:
    ours, _ = pair
    disconnects = DisconnectWatcher(asyncio.get_running_loop())
    disconnects.watch(ours.fileno(), lambda: None)
    disconnects._read()
    disconnects.close()
