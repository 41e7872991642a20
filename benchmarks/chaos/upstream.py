"""Run an upstream that misbehaves at random, and record what it did with each request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from chaos.verdict import Body, Ran
from support.hostile import DONE, STREAM, Connection, Exchange, Hostile, chunk, event, head, whole

NAMES = ("base", "law-lora", "code-lora")
_MODELS = {
    "object": "list",
    "data": [{"id": name, "object": "model", "parent": None if name == "base" else "base"} for name in NAMES],
}
JSON = "Content-Type: application/json"
ERROR_EVENT = b'data: {"error": {"message": "engine died", "type": "InternalServerError", "code": 500}}\n\n'


@dataclass
class Answer:
    """A response being sent: the client must receive exactly this data, or see an error."""

    exchange: Exchange
    dice: random.Random
    asked: dict[str, Any]
    behaviour: str
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    status: int | None = None
    whole: bool = False
    size: int = 0
    crc: int = 0

    @property
    def streams(self) -> bool:
        return self.asked.get("stream") is True

    async def send(self, data: bytes, *, status: int | None = None) -> None:
        """Send data; raises ConnectionError if the client is gone. With `status`, the data is the head."""
        if self.exchange.connection.gone.is_set():
            raise ConnectionError
        self.status = self.status if status is None else status
        await self.exchange.send(data)

    async def head(self, status: str, *fields: str) -> None:
        await self.send(head(status, *fields), status=int(status.split()[0]))

    async def body(self, data: bytes, *, framed: bool = False) -> None:
        """Send part of the body, as a chunk if `framed`."""
        self.size += len(data)
        self.crc = zlib.crc32(data, self.crc)
        await self.send(chunk(data) if framed else data)

    def finished(self) -> None:
        """Mark the response complete: everything announced was sent."""
        self.whole = not self.exchange.connection.gone.is_set()

    async def begin_stream(self) -> None:
        await self.send(STREAM, status=200)

    async def events(self, count: int) -> None:
        """Send this many events, with pauses like a generating model's."""
        for number in range(count):
            await self.body(event(f"word {number} " + "x" * self.dice.randrange(60)), framed=True)
            await asyncio.sleep(self.dice.uniform(0, 0.02) if self.dice.random() < 0.3 else 0)

    async def end_stream(self) -> None:
        await self.body(DONE, framed=True)
        await self.send(chunk(b"") + b"\r\n")
        self.finished()

    def text(self) -> bytes:
        message = {"role": "assistant", "content": "x" * self.dice.randrange(2000)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        return json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode()

    def record(self) -> Ran:
        request = self.exchange.request
        body = Body(self.size, self.crc)
        alone = request.number == 1
        return Ran(request.id, self.behaviour, self.began, self.ended, self.status, self.whole, body, alone)


Behaviour = Callable[[Answer], Awaitable[None]]


async def good(answer: Answer) -> None:
    if answer.streams:
        await answer.begin_stream()
        await answer.events(int(answer.asked.get("max_tokens", 8)))
        await answer.end_stream()
    else:
        await json_answer(answer, "200 OK", answer.text())


async def json_answer(answer: Answer, status: str, data: bytes, *fields: str, announced: int | None = None) -> None:
    """Send a JSON response; `announced` overrides the Content-Length with a wrong one."""
    length = len(data) if announced is None else announced
    await answer.head(status, JSON, f"Content-Length: {length}", *fields)
    await answer.body(data[:length])
    if len(data) >= length:
        answer.finished()
    if len(data) > length:
        await answer.send(data[length:])


async def slow(answer: Answer) -> None:
    await asyncio.sleep(answer.dice.uniform(0.02, 0.4))
    await good(answer)


async def interim(answer: Answer) -> None:
    await answer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    await good(answer)


async def byte_at_a_time(answer: Answer) -> None:
    data = answer.text()[:200]
    await answer.head("200 OK", JSON, f"Content-Length: {len(data)}")
    for position in range(len(data)):
        await answer.body(data[position : position + 1])
        if position % 20 == 0:
            await asyncio.sleep(0)
    answer.finished()


async def until_close(answer: Answer) -> None:
    await answer.head("200 OK", JSON, "Connection: close")
    await answer.body(answer.text())
    answer.finished()
    answer.exchange.close()


async def whole_then_close(answer: Answer) -> None:
    await good(answer)
    answer.exchange.close()


async def surplus(answer: Answer) -> None:
    data = answer.text()
    await json_answer(answer, "200 OK", data, announced=len(data) - 20)
    answer.exchange.close()


async def too_little(answer: Answer) -> None:
    data = answer.text()
    await json_answer(answer, "200 OK", data, announced=len(data) + 20)
    answer.exchange.close()


async def reset_before_head(answer: Answer) -> None:
    answer.exchange.reset()


async def close_before_head(answer: Answer) -> None:
    answer.exchange.close()


async def reset_in_head(answer: Answer) -> None:
    await answer.send(b"HTTP/1.1 200 OK\r\nContent-")
    await asyncio.sleep(0.01)
    answer.status = 0
    answer.exchange.reset()


async def reset_after_head(answer: Answer) -> None:
    await half(answer)
    await asyncio.sleep(answer.dice.choice((0, 0.02)))
    answer.exchange.reset()


async def short_chunked_body(answer: Answer) -> None:
    """End a chunked body early: FIN between two chunks, before the last chunk, or inside one."""
    await half(answer, length=None)
    if answer.dice.random() < 0.5:
        await answer.send(b"ff\r\ndata: {")
    answer.exchange.close()


async def half(answer: Answer, length: int | None = 5000) -> None:
    if answer.streams or length is None:
        await answer.begin_stream()
        await answer.events(answer.dice.randrange(1, 6))
    else:
        await answer.head("200 OK", JSON, f"Content-Length: {length}")
        await answer.body(b'{"id": "half of an answer')


async def garbage(answer: Answer) -> None:
    await half(answer, length=None)
    await answer.send(b"this is no chunk\r\n")
    answer.exchange.close()


async def stall(answer: Answer) -> None:
    await answer.exchange.hold()


async def stall_after_head(answer: Answer) -> None:
    await half(answer)
    await answer.exchange.hold()


async def error_in_stream(answer: Answer) -> None:
    """Send an error event, as vLLM does when its engine dies but the stream can still be ended."""
    await half(answer, length=None)
    await answer.body(ERROR_EVENT, framed=True)
    await answer.end_stream()


def refuses(status: str, *fields: str) -> Behaviour:
    async def behaviour(answer: Answer) -> None:
        error = {"message": "no", "type": "error", "param": None, "code": int(status.split()[0])}
        await json_answer(answer, status, json.dumps({"error": error}).encode(), *fields)

    return behaviour


GOOD: dict[str, Behaviour] = {"good": good, "slow": slow}
BAD: dict[str, Behaviour] = {
    "interim answer first": interim,
    "a byte at a time": byte_at_a_time,
    "ends with the connection": until_close,
    "closes after the answer": whole_then_close,
    "Content-Length too small": surplus,
    "Content-Length too great": too_little,
    "reset before the head": reset_before_head,
    "close before the head": close_before_head,
    "reset in the head": reset_in_head,
    "reset after the head": reset_after_head,
    "chunked body ends short": short_chunked_body,
    "no chunk": garbage,
    "stalls before the head": stall,
    "stalls after the head": stall_after_head,
    "error event in a stream": error_in_stream,
    "400": refuses("400 Bad Request"),
    "500": refuses("500 Internal Server Error"),
    "502": refuses("502 Bad Gateway"),
    "503": refuses("503 Service Unavailable"),
    "503 with Retry-After": refuses("503 Service Unavailable", "Retry-After: 7"),
}
EARLY = {"reset before the head", "503", "500", "close before the head"}
"""Behaviours that may occur before the body was read."""


class Chaotic(Hostile):
    """An upstream that answers at random; `ran` has finished requests, `running` the others.

    Well-behaved while `calm`.
    """

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self._dice = dice
        self.calm = True
        self.ran: list[Ran] = []
        self.running: list[Answer] = []
        self._latest: dict[Connection, int] = {}
        self.models = whole(json.dumps(_MODELS).encode())
        self.idle_close_s = 0.05

    async def take(self, exchange: Exchange) -> None:
        if exchange.request.method == "GET":
            return await super().take(exchange)
        kinds = GOOD if self.calm or self._dice.random() < 0.6 else BAD
        name = self._dice.choice(list(kinds))
        answer = Answer(exchange, self._dice, {}, name)
        self.running.append(answer)
        try:
            if name not in EARLY or self._dice.random() < 0.5:
                answer.asked = json.loads(await exchange.body())
            with contextlib.suppress(ConnectionError):
                await kinds[name](answer)
        finally:
            answer.ended = time.monotonic()
            self.running.remove(answer)
            self._latest[exchange.connection] = len(self.ran)
            self.ran.append(answer.record())
        return None

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
