"""Run clients that ask, read, stall, disconnect and send errors at random, and record what they see."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from chaos.upstream import NAMES
from chaos.verdict import Asked, Body, Expected
from support.raw_client import Cut, RawClient, chat, connect, post, request_head

WORDS = ("javascript", "python", "bridge", "blood", "pressure", "landlord", "weather", "and", "what", "is")
PATIENCE_SECONDS = 20.0
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


class Left(Exception):
    """The client disconnects now."""


@dataclass
class Clients:
    """Random clients; `asked` has every request that was made."""

    url: str
    dice: random.Random
    asked: list[Asked] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    async def run(self, stop: asyncio.Event) -> None:
        """Run one client after another until `stop`."""
        kinds: dict[str, Callable[[Asked], Awaitable[None]]] = {
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
            kind = self.dice.choice(list(kinds))
            await kinds[kind](Asked(self._next_id(), kind))
            await asyncio.sleep(self.dice.uniform(0, 0.1))

    def _next_id(self) -> str:
        return f"chaos-{next(self._numbers)}"

    def _body(self, **fields: Any) -> dict[str, Any]:
        text = " ".join(self.dice.choices(WORDS, k=self.dice.randrange(1, 40)))
        return chat(text, self.dice.choice(("auto", *NAMES)), **fields)

    def _request(self, asked: Asked, **fields: Any) -> bytes:
        return post(self._body(**fields), f"X-Request-Id: {asked.id}")

    def _depart(self, client: RawClient) -> float:
        return client.leave() if self.dice.random() < 0.5 else client.close()

    # --- those that stay ---------------------------------------------------------------------------------------

    async def _plain(self, asked: Asked) -> None:
        async with connect(self.url) as client:
            client.send(self._request(asked))
            self.asked.append(await read(client, asked))

    async def _stream(self, asked: Asked) -> None:
        async with connect(self.url) as client:
            client.send(self._request(asked, stream=True, max_tokens=self.dice.randrange(60)))
            self.asked.append(await read(client, asked))

    async def _one_connection(self, asked: Asked) -> None:
        async with connect(self.url) as client:
            for _ in range(self.dice.randrange(2, 6)):
                client.send(self._request(asked, stream=self.dice.random() < 0.5))
                self.asked.append(seen := await read(client, asked))
                if seen.end != "whole":
                    return
                await asyncio.sleep(self.dice.choice((0, 0.03, 0.1)))
                asked = replace(asked, id=self._next_id())

    async def _slow(self, asked: Asked) -> None:
        async with connect(self.url, receive_buffer=SMALL_BUFFER) as client:
            client.send(self._request(asked, stream=True, max_tokens=self.dice.randrange(100, 800)))
            self.asked.append(await read(client, asked, pause=lambda: self.dice.uniform(0, 0.005)))

    async def _pipelined(self, asked: Asked) -> None:
        async with connect(self.url) as client:
            ahead = [replace(asked, id=self._next_id()) for _ in range(self.dice.randrange(1, 5))]
            sent = [asked, *ahead]
            client.send(b"".join(self._request(item, stream=self.dice.random() < 0.5) for item in sent))
            broken = False
            for item in sent:
                seen = replace(item, end="unanswered") if broken else await read(client, item)
                broken = broken or seen.end != "whole"
                self.asked.append(seen)

    # --- those that leave --------------------------------------------------------------------------------------

    async def _leaves_in_head(self, asked: Asked) -> None:
        async with connect(self.url) as client:
            data = self._request(asked)
            client.send(data[: self.dice.randrange(data.find(b"\r\n\r\n"))])
            await asyncio.sleep(self.dice.uniform(0, 0.05))
            left = self._depart(client)
        self.asked.append(replace(asked, expected="nothing", end="left", left=left))

    async def _leaves_in_body(self, asked: Asked) -> None:
        async with connect(self.url) as client:
            client.send(request_head(500, f"X-Request-Id: {asked.id}") + b'{"model": ')
            await asyncio.sleep(self.dice.uniform(0.05, 0.1))
            left = self._depart(client)
        self.asked.append(replace(asked, end="left", left=left))

    async def _leaves_before_answer(self, asked: Asked) -> None:
        """Disconnect at once, or during classification, connecting or the response.

        Data that a reset overtakes is lost.
        """
        async with connect(self.url) as client:
            client.send(self._request(asked, stream=self.dice.random() < 0.5, max_tokens=50))
            stays = self.dice.choice((0, 0, 0.001, 0.003, 0.01, 0.05, 0.2))
            await asyncio.sleep(stays)
            resets = self.dice.random() < 0.5
            left = client.leave() if resets else client.close()
            if not resets:
                await client.writer.wait_closed()
        expected: Expected = "outcome or nothing" if resets and stays < 0.1 else "outcome"
        self.asked.append(replace(asked, expected=expected, end="left", left=left))

    async def _leaves_in_answer(self, asked: Asked) -> None:
        async with connect(self.url) as client:
            client.send(self._request(asked, stream=True, max_tokens=self.dice.randrange(5, 60)))
            until = self.dice.randrange(20)
            seen = await read(client, asked, leave_after=until)
            if seen.end == "left":
                seen = replace(seen, left=self._depart(client))
        self.asked.append(seen)

    async def _leaves_unread(self, asked: Asked) -> None:
        """Disconnect while the connection's buffers are full."""
        async with connect(self.url, receive_buffer=SMALL_BUFFER) as client:
            client.send(self._request(asked, stream=True, max_tokens=800))
            await asyncio.sleep(self.dice.uniform(0.05, 0.3))
            left = client.leave()
        self.asked.append(replace(asked, end="left", left=left))

    async def _leaves_pipelined(self, asked: Asked) -> None:
        async with connect(self.url) as client:
            sent = [asked, *(replace(asked, id=self._next_id()) for _ in range(self.dice.randrange(1, 4)))]
            client.send(b"".join(self._request(item, stream=True, max_tokens=40) for item in sent))
            seen = await read(client, asked, leave_after=self.dice.randrange(1, 6))
            if seen.end == "left":
                seen = replace(seen, left=self._depart(client))
                self.asked.extend(replace(item, end="left", left=seen.left) for item in sent[1:])
            elif seen.end == "whole":
                left = self._depart(client)
                self.asked.extend(replace(item, end="left", left=left) for item in sent[1:])
            else:
                self.asked.extend(replace(item, end="unanswered") for item in sent[1:])
        self.asked.append(seen)

    # --- those that err ----------------------------------------------------------------------------------------

    async def _malformed(self, asked: Asked) -> None:
        async with connect(self.url) as client:
            client.send(self.dice.choice(MALFORMED))
            self.asked.append(replace(await read(client, asked), expected="refused unread"))

    async def _bad_request(self, asked: Asked) -> None:
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


async def read(
    client: RawClient, asked: Asked, *, pause: Callable[[], float] | None = None, leave_after: int | None = None
) -> Asked:
    """Return the response as the client sees it; disconnect after `leave_after` parts of the body."""
    seen = Reading(asked)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await seen.run(client, pause, leave_after)
    except Cut:
        return seen.ended("cut")
    except Left:
        return replace(seen.ended("left"), left=time.monotonic())
    except TimeoutError:
        return seen.ended("hung")
    return seen.ended("whole")


class Reading:
    """A response as far as it was received."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._status: int | None = None
        self._size = self._crc = 0
        self._start = b""

    async def run(self, client: RawClient, pause: Callable[[], float] | None, leave_after: int | None) -> None:
        """Read to the end; raises Cut and Left."""
        self._status, headers = await client.head()
        fields = {name.lower(): value for name, value in headers}
        if "transfer-encoding" not in fields:
            await self._announced(client, int(fields["content-length"]))
            return
        parts = 0
        async for data in client.chunks():
            self._take(data)
            parts += 1
            if leave_after is not None and parts > leave_after:
                raise Left
            if pause is not None:
                await asyncio.sleep(pause())

    async def _announced(self, client: RawClient, length: int) -> None:
        try:
            self._take(await client.reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Cut("inside the body") from None

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        self._crc = zlib.crc32(data, self._crc)
        self._start = (self._start + data)[:2000]

    def ended(self, end: Any) -> Asked:
        body = Body(self._size, self._crc)
        return replace(self._asked, end=end, status=self._status, body=body, code=self._code())

    def _code(self) -> str | None:
        """Return the code of an error made by Pointsman; upstreams have numbers."""
        try:
            code = json.loads(self._start)["error"]["code"]
        except (ValueError, KeyError, TypeError):
            return None
        return code if isinstance(code, str) else None
