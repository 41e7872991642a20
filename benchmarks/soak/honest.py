"""Ask at a fixed rate, in a process of its own: `python -m soak.honest URL DIRECT_URL FILE` until stdin closes.

The same requests go to the daemon and straight to the stand-in for vLLM: what delays both is not the daemon. Each has
an answer that is known beforehand. FILE gets a JSON line for each, and the lag of this process's own
loop, so that what it waited for a core itself is not taken for the daemon's delay.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from soak.answer import ADAPTERS, BASE, events, plain
from soak.child import commands
from soak.evidence import End, HonestRequest, Lag
from support.raw_client import Cut, Got, RawClient, chat, connect, post

RATE = 20.0
PATIENCE_SECONDS = 20.0
LAG_SECONDS = 0.02
SOURCE = "127.0.0.3"
WORDS = ("landlord", "python", None)
"""The subject of a text; None is a request that names its model."""
KINDS = tuple(itertools.product(WORDS, (False, True)))


class HonestClients:
    """Honest clients; half of their requests are on connections that stay open."""

    def __init__(self, url: str, *, direct: bool) -> None:
        self._url = url
        self._direct = direct
        self._stack = AsyncExitStack()
        self._idle: list[RawClient] = []
        self.found: list[HonestRequest | Lag] = []

    async def run(self) -> None:
        """Send requests until this is canceled, and wait for the answers."""
        numbers, asking = itertools.count(), set[asyncio.Task[None]]()
        begun = time.monotonic()
        async with self._stack:
            try:
                for number in numbers:
                    await asyncio.sleep(begun + number / RATE - time.monotonic())
                    task = asyncio.create_task(self._ask(number))
                    asking.add(task)
                    task.add_done_callback(asking.discard)
            finally:
                await asyncio.gather(*asking)

    async def watch(self) -> None:
        """Note by how much the loop is late."""
        while True:
            due = time.monotonic() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self.found.append(Lag(due, (time.monotonic() - due) * 1000))

    async def _ask(self, number: int) -> None:
        word, stream = KINDS[number % len(KINDS)]
        text = f"{word or 'hello'} n{number}"
        wanted = BASE if word is None else ADAPTERS[word]
        body = chat(text, wanted if self._direct or word is None else "MoM", **({"stream": True} if stream else {}))
        kind = f"{'explicit' if word is None else 'routed'} {'stream' if stream else 'plain'}"
        keep_alive = number // len(KINDS) % 2 == 0
        begun = time.monotonic()
        end, got, again = await self._exchange(post(body), keep_alive=keep_alive)
        taken = (time.monotonic() - begun) * 1000
        asked = HonestRequest(
            begun, round(taken, 3), kind, end, status=got.status if got else None, again=again, direct=self._direct
        )
        self.found.append(judged(asked, got, word, text, stream=stream) if got else asked)

    async def _exchange(self, request: bytes, *, keep_alive: bool) -> tuple[End, Got | None, bool]:
        """Send a request, and once more if a reused connection is closed before an answer."""
        if keep_alive and self._idle:
            client = self._idle.pop()
            end, got = await self._on(client, request, keep_alive=True)
            if end != "closed":
                return end, got, False
            return *await self._on_new(request, keep_alive=True), True
        return *await self._on_new(request, keep_alive=keep_alive), False

    async def _on_new(self, request: bytes, *, keep_alive: bool) -> tuple[End, Got | None]:
        try:
            if keep_alive:
                return await self._on(
                    await self._stack.enter_async_context(connect(self._url, source=SOURCE)), request, keep_alive=True
                )
            async with connect(self._url, source=SOURCE) as client:
                return await self._on(client, request, keep_alive=False)
        except OSError:
            return "refused", None

    async def _on(self, client: RawClient, request: bytes, *, keep_alive: bool) -> tuple[End, Got | None]:
        try:
            client.send(request)
            got = await client.answer(timeout_s=PATIENCE_SECONDS)
        except Cut as cut:
            with suppress(OSError):  # it may be closed already
                client.leave()
            return ("cut", Got(200, [], cut.got)) if cut.got else ("closed", None)
        except TimeoutError:
            client.leave()
            return "hung", None
        except OSError:
            return "closed", None
        if keep_alive and "close" not in got.values("connection"):
            self._idle.append(client)
        return "whole", got


def judged(asked: HonestRequest, got: Got, word: str | None, text: str, *, stream: bool) -> HonestRequest:
    """Return the request with what became of it, by the answer that was to be expected."""
    reason = got.value("x-pointsman-reason")
    if got.status != 200:
        return asked.became("error", code=_code(got.body))
    tail = got.body.rpartition(b"data: ")[2]
    if stream and tail.startswith(b'{"error"'):
        return asked.became("error", code=_code(tail))
    if asked.end == "cut":
        return asked
    wanted = BASE if word is None else ADAPTERS[word]
    if got.body == _body(wanted, text, stream=stream):
        return asked
    if got.body == _body(BASE, text, stream=stream):
        return asked.became("fallback", code=reason)
    return asked.became("wrong", code=reason)


def _body(model: str, text: str, *, stream: bool) -> bytes:
    return b"".join(events(model, text)) if stream else plain(model, text)


def _code(body: bytes) -> str | None:
    """Return the code of an error in OpenAI's form; None if it has none."""
    with suppress(ValueError, KeyError, TypeError):
        found: Any = json.loads(body)["error"]["code"]
        return None if found is None else str(found)
    return None


async def ask_until_stopped(url: str, direct_url: str) -> list[HonestRequest | Lag]:
    """Return what honest clients saw until stdin closed."""
    clients, direct = HonestClients(url, direct=False), HonestClients(direct_url, direct=True)
    running = [asyncio.create_task(work) for work in (clients.run(), direct.run(), clients.watch())]
    async for _ in commands():
        pass
    for task in running:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return clients.found + direct.found


if __name__ == "__main__":
    found = asyncio.run(ask_until_stopped(sys.argv[1], sys.argv[2]))
    Path(sys.argv[3]).write_text("".join(item.line() + "\n" for item in found))
