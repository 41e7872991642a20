"""Run clients that ask, read, stall, disconnect and send errors at random, and record what they see."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chaos.evidence import ClientRequest, Expected
from chaos.prompt import LONG_TOKENS, request
from chaos.prompt import read as read_prompt
from chaos.reading import read
from support.raw_client import RawClient, connect, post, request_head

SMALL_BUFFER = 4096

MALFORMED = (
    b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost : a\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\nno field\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
)
"""Refused before they are parsed as requests: no outcome in the log, one in the metrics."""


@dataclass
class RandomClients:
    """Random clients; `asked` has every request that was made. `kinds` limits what they do."""

    url: str
    dice: random.Random
    kinds: Sequence[str] = ()
    asked: list[ClientRequest] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    async def run(self, stop: asyncio.Event) -> None:
        """Run one client after another until `stop`."""
        kinds: dict[str, Callable[[ClientRequest], Awaitable[None]]] = {
            "whole answer": self._plain,
            "stream": self._stream,
            "one connection": self._one_connection,
            "slow reader": self._slow,
            "pipelined": self._pipelined,
            "leaves in the head": self._leaves_in_head,
            "leaves in the body": self._leaves_in_body,
            "leaves before the answer": self._leaves_before_answer,
            "leaves in the answer": self._leaves_in_answer,
            "leaves unread": self._leaves_unread,
            "leaves pipelined": self._leaves_pipelined,
            "malformed": self._malformed,
            "bad request": self._bad_request,
        }
        while not stop.is_set():
            kind = self.dice.choice(self.kinds or list(kinds))
            await kinds[kind](ClientRequest(self._next_id(), kind))
            await asyncio.sleep(self.dice.uniform(0, 0.1))

    def _next_id(self) -> str:
        return f"chaos-{next(self._numbers)}"

    def _made(self, asked: ClientRequest, **fields: Any) -> tuple[ClientRequest, bytes]:
        """Return the request as it is sent, and its record."""
        body, wanted = request(self.dice, **fields)
        return replace(asked, prompt=read_prompt(body), wanted=wanted), post(body, f"X-Request-Id: {asked.id}")

    def _send(self, client: RawClient, asked: ClientRequest, **fields: Any) -> ClientRequest:
        asked, data = self._made(asked, **fields)
        client.send(data)
        return asked

    async def _depart(self, client: RawClient, *, resets: bool | None = None) -> float:
        """Disconnect with RST or FIN; return the time when the connection was closed for certain.

        The transport closes its socket a turn of the event loop after it is told to.
        """
        resets = self.dice.random() < 0.5 if resets is None else resets
        client.leave() if resets else client.close()
        with contextlib.suppress(ConnectionError):
            await client.writer.wait_closed()
        return time.monotonic()

    # --- those that stay ---------------------------------------------------------------------------------------

    async def _plain(self, asked: ClientRequest) -> None:
        async with connect(self.url) as client:
            asked = self._send(client, asked)
            self.asked.append(await read(client, asked))

    async def _stream(self, asked: ClientRequest) -> None:
        async with connect(self.url) as client:
            asked = self._send(client, asked, stream=True, max_tokens=self.dice.randrange(1, 60))
            self.asked.append(await read(client, asked))

    async def _one_connection(self, asked: ClientRequest) -> None:
        async with connect(self.url) as client:
            for _ in range(self.dice.randrange(2, 6)):
                sent = self._send(client, asked, stream=self.dice.random() < 0.5)
                self.asked.append(seen := await read(client, sent))
                if seen.end != "whole":
                    return
                await asyncio.sleep(self.dice.choice((0, 0.03, 0.1)))
                asked = ClientRequest(self._next_id(), asked.kind)

    async def _slow(self, asked: ClientRequest) -> None:
        async with connect(self.url, receive_buffer=SMALL_BUFFER) as client:
            asked = self._send(client, asked, stream=True, max_tokens=self.dice.randrange(100, 800))
            self.asked.append(await read(client, asked, pause=lambda: self.dice.uniform(0, 0.005)))

    async def _pipelined(self, asked: ClientRequest) -> None:
        async with connect(self.url) as client:
            ahead = [replace(asked, id=self._next_id()) for _ in range(self.dice.randrange(1, 5))]
            made = [self._made(item, stream=self.dice.random() < 0.5) for item in (asked, *ahead)]
            client.send(b"".join(data for _, data in made))
            broken = False
            for item, _ in made:
                seen = replace(item, end="unanswered") if broken else await read(client, item)
                broken = broken or seen.end != "whole"
                self.asked.append(seen)

    # --- those that leave --------------------------------------------------------------------------------------

    async def _leaves_in_head(self, asked: ClientRequest) -> None:
        async with connect(self.url) as client:
            _, data = self._made(asked)
            client.send(data[: self.dice.randrange(data.find(b"\r\n\r\n"))])
            await asyncio.sleep(self.dice.uniform(0, 0.05))
            left = await self._depart(client)
        self.asked.append(replace(asked, expected="nothing", end="left", left=left))

    async def _leaves_in_body(self, asked: ClientRequest) -> None:
        async with connect(self.url) as client:
            client.send(request_head(500, f"X-Request-Id: {asked.id}") + b'{"model": ')
            await asyncio.sleep(self.dice.uniform(0.05, 0.1))
            left = await self._depart(client)
        self.asked.append(replace(asked, end="left", left=left))

    async def _leaves_before_answer(self, asked: ClientRequest) -> None:
        """Disconnect at once, or during classification, connecting or the response.

        Data that a reset overtakes is lost.
        """
        async with connect(self.url) as client:
            asked = self._send(client, asked, stream=self.dice.random() < 0.5, max_tokens=50)
            stays = self.dice.choice((0, 0, 0.001, 0.003, 0.01, 0.05, 0.2))
            await asyncio.sleep(stays)
            resets = self.dice.random() < 0.5
            left = await self._depart(client, resets=resets)
        expected: Expected = "outcome or nothing" if resets and stays < 0.1 else "outcome"
        self.asked.append(replace(asked, expected=expected, end="left", left=left))

    async def _leaves_in_answer(self, asked: ClientRequest) -> None:
        async with connect(self.url) as client:
            tokens = self.dice.choice((self.dice.randrange(5, 60), LONG_TOKENS))
            asked = self._send(client, asked, stream=True, max_tokens=tokens)
            until = self.dice.randrange(20)
            seen = await read(client, asked, leave_after=until)
            if seen.end == "left":
                seen = replace(seen, left=await self._depart(client))
        self.asked.append(seen)

    async def _leaves_unread(self, asked: ClientRequest) -> None:
        """Disconnect while the connection's buffers are full."""
        async with connect(self.url, receive_buffer=SMALL_BUFFER) as client:
            asked = self._send(client, asked, stream=True, max_tokens=LONG_TOKENS)
            await asyncio.sleep(self.dice.uniform(0.05, 0.3))
            left = await self._depart(client, resets=True)
        self.asked.append(replace(asked, end="left", left=left))

    async def _leaves_pipelined(self, asked: ClientRequest) -> None:
        async with connect(self.url) as client:
            ahead = [replace(asked, id=self._next_id()) for _ in range(self.dice.randrange(1, 4))]
            made = [self._made(item, stream=True, max_tokens=40) for item in (asked, *ahead)]
            client.send(b"".join(data for _, data in made))
            (first, _), *rest = made
            seen = await read(client, first, leave_after=self.dice.randrange(1, 6))
            if seen.end == "cut":
                self.asked += [replace(item, end="unanswered") for item, _ in rest]
            else:
                left = await self._depart(client)
                seen = replace(seen, left=left) if seen.end == "left" else seen
                self.asked += [replace(item, end="left", left=left) for item, _ in rest]
        self.asked.append(seen)

    # --- those that err ----------------------------------------------------------------------------------------

    async def _malformed(self, asked: ClientRequest) -> None:
        async with connect(self.url) as client:
            client.send(self.dice.choice(MALFORMED))
            self.asked.append(replace(await read(client, asked), expected="refused unread"))

    async def _bad_request(self, asked: ClientRequest) -> None:
        line = f"X-Request-Id: {asked.id}"
        requests = [
            post(b'{"model": "base", "messages": [', line),
            post(b'{"model": 7}', line),
            post(b'["model"]', line),
            post(b"\xff\xfe", line),
            post(b"{}", line, "Content-Encoding: gzip"),
            request_head(2**40, line),
        ]
        async with connect(self.url) as client:
            client.send(self.dice.choice(requests))
            self.asked.append(await read(client, asked))
