"""Attack with connections: clients that never read, that say nothing, and that drip."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from soak.attacks.target import AttackedDaemon, again_and_again, meanwhile, together
from soak.upstream import ENDLESS
from support.raw_client import chat, post, request_head

NEVER_READING = 200
SILENT = 2_400
"""More than `server.max_connections`."""
DRIPPING = 300
DRIP_SECONDS = 1.0
CONNECT_SECONDS = 2.0
"""The first connections of a flood are spread over this time."""
BUFFER_BYTES = 4096
HOLD_SECONDS = 70.0
"""Longer than `server.send_timeout_ms`: its connection is closed by then."""


async def never_read(target: AttackedDaemon) -> None:
    """Ask for endless streams and read nothing of them."""
    request = post(chat(ENDLESS, stream=True))

    async def client(number: int) -> None:
        await asyncio.sleep(number * CONNECT_SECONDS / NEVER_READING)
        async with target.connect("never reads", f"127.0.4.{number % 4 + 1}", receive_buffer=BUFFER_BYTES) as raw:
            await asyncio.get_running_loop().sock_sendall(raw, request)
            await asyncio.sleep(HOLD_SECONDS)

    await _flood(client, NEVER_READING)


async def silent(target: AttackedDaemon) -> None:
    """Connect and say nothing, until the daemon closes."""

    async def client(number: int) -> None:
        await asyncio.sleep(number * CONNECT_SECONDS / SILENT)
        async with target.connect("silent", f"127.0.5.{number % 3 + 1}") as raw:
            await target.answer(raw, "silent")

    await _flood(client, SILENT)


async def dripping(target: AttackedDaemon) -> None:
    """Send heads and bodies byte by byte."""
    head = request_head(1000, "X-Drip: " + "x" * 1000)

    async def client(number: int) -> None:
        await asyncio.sleep(number * CONNECT_SECONDS / DRIPPING)
        sent = len(head) if number % 2 else 0
        what = "body that drips" if sent else "head that drips"
        async with target.connect(what, f"127.0.6.{number % 3 + 1}") as raw:
            await asyncio.get_running_loop().sock_sendall(raw, head[:sent])
            async with meanwhile(_drip(raw, head[sent:] + b" " * 1000)):
                await target.answer(raw, what)

    await _flood(client, DRIPPING)


async def _drip(raw: socket.socket, data: bytes) -> None:
    for byte in data:
        await asyncio.get_running_loop().sock_sendall(raw, bytes([byte]))
        await asyncio.sleep(DRIP_SECONDS)


async def _flood(client: Callable[[int], Coroutine[Any, Any, None]], count: int) -> None:
    await together(again_and_again(partial(client, number), 1.0) for number in range(count))
