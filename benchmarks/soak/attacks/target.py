"""The target of attacks: the daemon, the stand-in for vLLM, and a tally of the attacks' requests."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soak.child import Child
from soak.log_reader import LogReader
from support.daemon import Daemon
from support.raw_client import Cut

Attack = Callable[["AttackedDaemon"], Coroutine[Any, Any, None]]
"""A coroutine that continues until it is canceled, and restores everything then."""


@dataclass
class AttackedDaemon:
    """The daemon under attack."""

    daemon: Daemon
    upstream: Child
    log: LogReader
    bodies: Mapping[str, bytes]
    artifacts: Mapping[str, Path]
    """`good` and `another good`, and those that a reload must refuse, by what is wrong with them."""
    did: Counter[str] = field(default_factory=Counter)

    @contextlib.asynccontextmanager
    async def connect(
        self, what: str, source: str, *, receive_buffer: int | None = None
    ) -> AsyncIterator[socket.socket]:
        """Connect from an address of 127.0.0.0/8, and count it."""
        host, _, port = self.daemon.base_url.removeprefix("http://").partition(":")
        with socket.socket() as raw:
            if receive_buffer is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            raw.bind((source, 0))
            raw.setblocking(False)
            await asyncio.get_running_loop().sock_connect(raw, (host, int(port)))
            self.did[f"{what}: connected"] += 1
            yield raw

    async def answer(self, raw: socket.socket, what: str) -> None:
        """Wait for the next answer, and count its status, or how the connection ended without one."""
        try:
            got = await asyncio.get_running_loop().sock_recv(raw, 65536)
        except ConnectionError:
            self.did[f"{what}: reset"] += 1
            raise
        self.did[f"{what}: {got[9:12].decode('latin-1') or 'closed'}"] += 1


async def together(each: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all of them until this is canceled."""
    async with asyncio.TaskGroup() as group:
        for one in each:
            group.create_task(one)


async def again_and_again(client: Callable[[], Awaitable[None]], pause_s: float) -> None:
    """Run a client over and over; that the daemon closes its connection is no error."""
    while True:
        try:
            await client()
        except* (OSError, Cut):
            pass
        await asyncio.sleep(pause_s)


@contextlib.asynccontextmanager
async def meanwhile(sending: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Send for as long as the block lasts; that the daemon closes the connection before the end is no error."""
    task = asyncio.create_task(sending)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await task
