"""Run an upstream that misbehaves at random, and record what it did with each request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator
from dataclasses import replace

from chaos.answer import AnswerInProgress
from chaos.behaviours import BAD, EARLY, GOOD
from chaos.evidence import UpstreamRequest
from chaos.prompt import NAMES
from support.hostile import Connection, Exchange, Hostile, whole

_MODELS = {
    "object": "list",
    "data": [{"id": name, "object": "model", "parent": None if name == "base" else "base"} for name in NAMES],
}


class ChaoticUpstream(Hostile):
    """An upstream that answers at random; `ran` has finished requests, `running` the others.

    Well-behaved while `calm`.
    """

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self._dice = dice
        self.calm = True
        self.ran: list[UpstreamRequest] = []
        self.running: list[AnswerInProgress] = []
        self._latest: dict[Connection, int] = {}
        self.models = whole(json.dumps(_MODELS).encode())
        self.idle_close_s = 0.05

    async def take(self, exchange: Exchange) -> None:
        if exchange.request.method == "GET":
            return await super().take(exchange)
        kinds = GOOD if self.calm or self._dice.random() < 0.6 else BAD
        name = self._dice.choice(list(kinds))
        answer = AnswerInProgress(exchange, self._dice, {}, name)
        self.running.append(answer)
        try:
            if name not in EARLY or self._dice.random() < 0.5:
                answer.read(await exchange.body())
            with contextlib.suppress(ConnectionError):
                await kinds[name](answer)
        finally:
            answer.ended = exchange.connection.left or time.monotonic()
            self.running.remove(answer)
            self._latest[exchange.connection] = len(self.ran)
            self.ran.append(answer.record())
        return None

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen on a free port of 127.0.0.1 for as long as the block lasts."""
        await self.listen()
        try:
            yield
        finally:
            await self.end()

    def forget(self) -> None:
        """Drop closed connections; their requests are in `ran`."""
        self.requests.clear()
        self.connections = [connection for connection in self.connections if not connection.gone.is_set()]
        self._latest = {
            connection: self._latest[connection] for connection in self._latest if not connection.gone.is_set()
        }

    async def die(self) -> None:
        for connection, index in self._latest.items():
            if not connection.gone.is_set():
                self.ran[index] = replace(self.ran[index], torn=True)
        await super().die()

    async def lapses(self, stop: asyncio.Event) -> None:
        """Stop for a while now and then, as if killed and restarted."""
        while not stop.is_set():
            try:
                async with asyncio.timeout(self._dice.uniform(2, 8)):
                    await stop.wait()
            except TimeoutError:
                await self.die()
                await asyncio.sleep(self._dice.uniform(0.1, 1.0))
                await self.listen()
                self.forget()
