"""A daemon that is restarted on a socket that stays open, while clients keep coming and a stream runs."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from support.daemon import run_daemon
from support.fake_vllm import FakeVllm, event
from support.load import MAX_REQUEST_SECONDS
from support.process import eventually
from support.service import CHAT, chat

WHOLE = event("llama2-7b", "first") + b"data: [DONE]\n\n"
"""The expected answer of each client."""
MODEL = "llama2-7b"


@dataclass(frozen=True)
class Restart:
    """`answers`: status and body of each short request, or the error that the client got, and how often.

    `staying` is the stream that ran through the end of the first process.
    """

    answers: Mapping[tuple[int, bytes] | str, int]
    staying: tuple[int, bytes] | str
    longest_s: float
    """The longest short request: the cost of the restart for clients that came during it."""

    @property
    def refused(self) -> int:
        """Requests that did not get the whole answer."""
        return sum(self.answers.values()) - self.answers.get((200, WHOLE), 0)


async def restart_under_load(config: Any, upstream: FakeVllm, folder: Path, clients: int, each: int) -> Restart:
    """`clients` ask, each on a new connection, at least `each` times before and after the restart."""
    go_on, streaming, over = asyncio.Event(), asyncio.Event(), asyncio.Event()
    answers: Counter[tuple[int, bytes] | str] = Counter()
    longest = 0.0

    async def answer(request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(event(MODEL, "first"))
        if b'"stays"' in body:
            streaming.set()
            await go_on.wait()
        await response.write(b"data: [DONE]\n\n")
        return response

    async def ask(text: str) -> tuple[int, bytes] | str:
        connector = aiohttp.TCPConnector(force_close=True)  # a reused connection may close at any time
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(MAX_REQUEST_SECONDS)) as http,
                http.post(url, json=chat(text, MODEL, stream=True)) as response,
            ):
                return response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            return repr(error)

    async def keep_asking() -> None:
        nonlocal longest
        while not over.is_set():
            started = time.monotonic()
            answers[await ask("short")] += 1
            longest = max(longest, time.monotonic() - started)

    upstream.answer = answer
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}{CHAT}"
        for name in ("first", "second"):
            (folder / name).mkdir()
        async with asyncio.TaskGroup() as group:
            async with run_daemon(config, folder / "first", listener=listener) as daemon:
                staying = group.create_task(ask("stays"))
                asking = [group.create_task(keep_asking()) for _ in range(clients)]
                await streaming.wait()
                await eventually(lambda: answers.total() > each * clients, "a load", timeout_s=60)
                daemon.process.terminate()
                await daemon.logged("stopping")
                go_on.set()
            before = answers.total()
            async with run_daemon(config, folder / "second", listener=listener):
                await eventually(lambda: answers.total() > before + each * clients, "the second serves", timeout_s=60)
                over.set()
                await asyncio.wait(asking)  # clients that came when this one stops, too, would wait for a third
    return Restart(answers, staying.result(), longest)
