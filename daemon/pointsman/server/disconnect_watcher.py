"""Notice that clients leave whose connections are not read from: the event loop would notice only on reading."""

from __future__ import annotations

import asyncio
import contextlib
import select
from collections.abc import Callable


class SocketWatch:
    """A socket that is watched."""

    __slots__ = ("file", "left")

    def __init__(self, file: int, left: Callable[[], None]) -> None:
        self.file = file
        self.left = left


class DisconnectWatcher:
    """A separate epoll, which the event loop watches, for sockets whose peer may close."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll: select.epoll | None = None
        self._watches: dict[int, SocketWatch] = {}

    def watch(self, file: int, left: Callable[[], None]) -> SocketWatch:
        """Call `left` once if the peer of the socket `file` closes or resets the connection."""
        if self._epoll is None:
            self._epoll = select.epoll()
            self._loop.add_reader(self._epoll.fileno(), self._read)
        self._epoll.register(file, select.EPOLLRDHUP)  # errors are always reported
        watch = self._watches[file] = SocketWatch(file, left)
        return watch

    def forget(self, watch: SocketWatch) -> None:
        """Stop watching; do nothing if that has ended."""
        if self._watches.get(watch.file) is not watch:
            return
        del self._watches[watch.file]
        if self._epoll is not None:
            with contextlib.suppress(OSError):  # the socket is closed, or its number was reused
                self._epoll.unregister(watch.file)

    def close(self) -> None:
        """Stop watching all sockets."""
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def _read(self) -> None:
        if self._epoll is None:
            return
        for file, _ in self._epoll.poll(0):
            watch = self._watches.get(file)
            if watch is not None:
                self.forget(watch)
                watch.left()
