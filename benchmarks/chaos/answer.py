"""A response that an upstream sends, and the record of what it sent."""

from __future__ import annotations

import asyncio
import json
import random
import time
import zlib
from dataclasses import dataclass, field
from typing import Any

from chaos.evidence import UpstreamRequest
from chaos.prompt import Prompt, read
from support.hostile import DONE, Exchange, chunk, event, head

NONCE_HEADER = "x-chaos-nonce"
"""Header of a response, with the nonce of the prompt that it answers."""


@dataclass
class AnswerInProgress:
    """A response being sent: the client must receive exactly this data, or see an error."""

    exchange: Exchange
    dice: random.Random
    asked: dict[str, Any]
    behaviour: str
    prompt: Prompt | None = None
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    status: int | None = None
    whole: bool = False
    sent: bytearray = field(default_factory=bytearray)

    @property
    def streams(self) -> bool:
        return self.asked.get("stream") is True

    @property
    def nonce(self) -> str:
        return "" if self.prompt is None else self.prompt.nonce

    def read(self, body: bytes) -> None:
        self.asked = json.loads(body)
        self.prompt = read(self.asked)

    async def send(self, data: bytes, *, status: int | None = None) -> None:
        """Send data; raises ConnectionError if the client is gone. With `status`, the data is the head."""
        if self.exchange.connection.gone.is_set():
            raise ConnectionError
        self.status = self.status if status is None else status
        await self.exchange.send(data)

    async def head(self, status: str, *fields: str) -> None:
        own = [f"{NONCE_HEADER}: {self.nonce}"] if self.nonce else []
        await self.send(head(status, *fields, *own), status=int(status.split()[0]))

    async def body(self, data: bytes, *, framed: bool = False) -> None:
        """Send part of the body, as a chunk if `framed`."""
        self.sent += data
        await self.send(chunk(data) if framed else data)

    def finished(self) -> None:
        """Mark the response complete: everything announced was sent."""
        self.whole = not self.exchange.connection.gone.is_set()

    async def begin_stream(self) -> None:
        await self.head("200 OK", "Content-Type: text/event-stream; charset=utf-8", "Transfer-Encoding: chunked")

    async def events(self, count: int) -> None:
        """Send this many events, with pauses like a generating model's."""
        for number in range(count):
            await self.body(event(f"{self.nonce} word {number} " + "x" * self.dice.randrange(60)), framed=True)
            await asyncio.sleep(self.dice.uniform(0, 0.02) if self.dice.random() < 0.3 else 0)

    async def end_stream(self) -> None:
        await self.body(DONE, framed=True)
        self.finished()  # after an error event, the daemon closes the connection once it has the last chunk
        await self.send(chunk(b"") + b"\r\n")

    def text(self) -> bytes:
        message = {"role": "assistant", "content": "x" * self.dice.randrange(2000)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        return json.dumps({"id": self.nonce, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()

    def record(self) -> UpstreamRequest:
        request = self.exchange.request
        return UpstreamRequest(
            id=request.id,
            behaviour=self.behaviour,
            began=self.began,
            ended=self.ended,
            prompt=self.prompt,
            status=self.status,
            whole=self.whole,
            deflated=zlib.compress(self.sent, 1),
            alone=request.number == 1,
        )
