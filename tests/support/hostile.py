"""An upstream whose every byte a test scripts, and which records received requests, and when their client left.

It reads HTTP/1.1 as strictly as the grammar is written: everything that is not a request is stored in
`Hostile.malformed`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from support.process import PATIENCE_SECONDS

Script = Callable[["Exchange"], Awaitable[None]]

MODELS = {"object": "list", "data": [{"id": name, "object": "model", "parent": None} for name in ("base", "other")]}
DONE = b"data: [DONE]\n\n"

_REQUEST_LINE = re.compile(rb"([A-Z]+) (/[!-~]*|\*) HTTP/1\.1")
_FIELD = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[!-~\x80-\xff](?:[ \t!-~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*"
)
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")


class Malformed(Exception):
    """The received bytes are not a request."""


@dataclass
class Seen:
    """One request as it came. `number` counts from 1 on its connection, `body` grows until `whole` is set."""

    number: int
    method: str
    target: str
    headers: list[tuple[str, str]]
    at: float = field(default_factory=time.monotonic)
    body: bytes = b""
    whole: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        """Its `X-Request-Id`; empty where it has none."""
        return "".join(self.values("x-request-id"))

    def values(self, name: str) -> list[str]:
        """The values of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Connection(asyncio.Protocol):
    """One connection; `left` is the monotonic time at which its client closed it, None where we did or nobody."""

    def __init__(self, owner: Hostile) -> None:
        self._owner = owner
        self._buffer = b""
        self._reader: Iterator[Seen] | None = None
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._ours = False
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # connection_made comes first
        self.requests: list[Seen] = []
        self.received = 0
        self.sent = 0
        self.left: float | None = None
        self.gone = asyncio.Event()

    # --- asyncio.Protocol -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._owner.connections.append(self)
        self._writable.set()
        self._reader = self._read()
        self._go_on()

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self._buffer += data
        self._go_on()

    def eof_received(self) -> bool:
        self._mark_left()
        return False

    def connection_lost(self, _: Exception | None) -> None:
        self._mark_left()
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _mark_left(self) -> None:
        if not self._ours and self.left is None:
            self.left = time.monotonic()
        self.gone.set()

    # --- what a script does -----------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        """Write, and wait until the socket took it."""
        self.transport.write(data)
        self.sent += len(data)
        await asyncio.sleep(0)  # a turn of the loop, without which a script that only sends never sees the peer leave
        await self._writable.wait()

    def close(self) -> None:
        """End it with FIN, after what was written."""
        self._ours = True
        self.transport.close()

    def reset(self) -> None:
        """End it with RST. Nothing that is sent from now on arrives, though `connection_lost` comes a turn later."""
        self._ours = True
        self.gone.set()
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    # --- requests ---------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Read on; as soon as the head of a request is there its script runs, and the next head waits for its end."""
        assert self._reader is not None
        try:
            next(self._reader)
        except Malformed as error:
            self._owner.malformed.append(f"{error}: {self._buffer[:200]!r}")
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.close()

    def _read(self) -> Iterator[Any]:
        """A coroutine by hand: it yields where it needs more bytes."""
        while True:
            head = yield from self._until(b"\r\n\r\n")
            request, length = _parse(head, len(self.requests) + 1)
            self.requests.append(request)
            self._task = asyncio.create_task(self._serve(request))
            if length is None:
                yield from self._chunks(request)
            else:
                while len(self._buffer) < length:
                    request.body = self._buffer
                    yield
                request.body, self._buffer = self._buffer[:length], self._buffer[length:]
            request.whole.set()
            while not self._task.done():
                yield

    def _chunks(self, request: Seen) -> Iterator[Any]:
        while True:
            size = (yield from self._until(b"\r\n")).partition(b";")[0]
            if not _CHUNK_SIZE.fullmatch(size):
                raise Malformed(f"chunk size {size!r}")
            left = int(size, 16)
            if not left:
                break
            while len(self._buffer) < left + 2:
                yield
            if self._buffer[left : left + 2] != b"\r\n":
                raise Malformed("a chunk without its end")
            request.body += self._buffer[:left]
            self._buffer = self._buffer[left + 2 :]
        while (yield from self._until(b"\r\n")):
            pass  # trailers

    def _until(self, end: bytes) -> Generator[None, None, bytes]:
        while (at := self._buffer.find(end)) < 0:
            yield
        found, self._buffer = self._buffer[:at], self._buffer[at + len(end) :]
        return found

    async def _serve(self, request: Seen) -> None:
        exchange = Exchange(self._owner, self, request)
        with contextlib.suppress(asyncio.CancelledError):
            await self._owner.take(exchange)
        if self.gone.is_set() or self._ours:
            return
        asyncio.get_running_loop().call_soon(self._go_on)
        if self._owner.idle_close_s is not None:
            asyncio.get_running_loop().call_later(self._owner.idle_close_s, self._close_if_idle, request.number)

    def _close_if_idle(self, number: int) -> None:
        if len(self.requests) == number and not self._buffer:
            self.close()


def _parse(head: bytes, number: int) -> tuple[Seen, int | None]:
    """A request, and the length of its body; None where it is chunked."""
    first, *lines = head.split(b"\r\n")
    line = _REQUEST_LINE.fullmatch(first)
    if not line:
        raise Malformed(f"request line {first!r}")
    fields = [_FIELD.fullmatch(line) for line in lines]
    if not all(fields):
        raise Malformed(f"fields {lines!r}")
    headers = [(found[1].decode("latin-1"), found[2].decode("latin-1")) for found in fields if found]
    request = Seen(number, line[1].decode(), line[2].decode(), headers)
    if len(request.values("host")) != 1:
        raise Malformed("not one Host")
    lengths, codings = request.values("content-length"), request.values("transfer-encoding")
    if codings:
        if lengths or codings != ["chunked"]:
            raise Malformed(f"framing {lengths} {codings}")
        return request, None
    if len(lengths) > 1 or not all(re.fullmatch(r"\d{1,15}", length) for length in lengths):
        raise Malformed(f"framing {lengths}")
    return request, int(lengths[0]) if lengths else 0


@dataclass(frozen=True)
class Exchange:
    """A request whose head has come, in the hands of a script."""

    owner: Hostile
    connection: Connection
    request: Seen

    async def body(self) -> bytes:
        """The whole body, once it is there."""
        await self.request.whole.wait()
        return self.request.body

    async def send(self, *parts: bytes) -> None:
        """One write for each part."""
        for part in parts:
            await self.connection.send(part)

    def close(self) -> None:
        self.connection.close()

    def reset(self) -> None:
        self.connection.reset()

    async def hold(self) -> None:
        """Do nothing until the client leaves."""
        await self.connection.gone.wait()


@dataclass
class Hostile:
    """`script` answers every request but those for `/v1/models` and `/health`, which `models` and `health` answer."""

    port: int = 0
    script: Script = None  # type: ignore[assignment]  # `reset` sets it
    models: Script = None  # type: ignore[assignment]
    health: Script = None  # type: ignore[assignment]
    idle_close_s: float | None = None
    """Close a connection that was idle for this long, as uvicorn does after 5 s."""
    connections: list[Connection] = field(default_factory=list)
    requests: list[Exchange] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    _reserved: socket.socket | None = None
    """Has the port, and does not listen: who connects to it is refused."""
    _server: asyncio.Server | None = None
    _arrival: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.reset()

    async def stands_still(self) -> int:
        """Wait until nothing was written for a while, since nobody reads: no event tells that. The bytes written."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                sent = self.sent
                await asyncio.sleep(0.3)
                if self.sent == sent:
                    return sent

    @property
    def sent(self) -> int:
        """Bytes, to all connections."""
        return sum(connection.sent for connection in self.connections)

    def reset(self) -> None:
        """Forget what was received and behave as by default."""
        self.script, self.models, self.health = completion, _models, whole(b"")
        self.idle_close_s = None
        self.requests.clear()
        self.malformed.clear()
        self.connections = [connection for connection in self.connections if not connection.gone.is_set()]

    async def take(self, exchange: Exchange) -> None:
        """Answer one request."""
        if exchange.request.method == "GET" and exchange.request.target == "/v1/models":
            return await self.models(exchange)
        if exchange.request.method == "GET" and exchange.request.target == "/health":
            return await self.health(exchange)
        self.requests.append(exchange)
        self._arrival.set()
        return await self.script(exchange)

    async def arrived(self, count: int = 1, *, timeout_s: float = PATIENCE_SECONDS) -> Exchange:
        """Wait until this many requests have come since the reset; return the last of them."""
        async with asyncio.timeout(timeout_s):
            while len(self.requests) < count:
                self._arrival.clear()
                await self._arrival.wait()
        return self.requests[count - 1]

    async def listen(self) -> None:
        """On the port that it had, or on a free one; the port stays its own while it is dead."""
        if self._reserved is None:
            self._reserved = socket.socket()
            self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._reserved.bind(("127.0.0.1", self.port))
            self.port = self._reserved.getsockname()[1]
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", self.port, backlog=1024)

    async def die(self) -> None:
        """As by SIGKILL: every connection is reset, and new ones are refused."""
        if self._server is not None:
            self._server.close()
        for connection in self.connections:
            if not connection.gone.is_set():
                connection.reset()
        await asyncio.sleep(0)

    async def end(self) -> None:
        """Die, and give the port back."""
        await self.die()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None


@contextlib.asynccontextmanager
async def run_hostile() -> AsyncIterator[Hostile]:
    """Listening on a free port of 127.0.0.1 for as long as the block lasts."""
    hostile = Hostile()
    await hostile.listen()
    try:
        yield hostile
    finally:
        await hostile.end()


@contextlib.contextmanager
def deaf_port() -> Iterator[int]:
    """A port that never answers a SYN: its queue of connections is full and nobody takes one out."""
    with socket.socket() as server, contextlib.ExitStack() as stack:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(2):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


# --- scripts --------------------------------------------------------------------------------------------------


def head(status: str = "200 OK", *fields: str, version: str = "1.1") -> bytes:
    """The head of an answer: `head("200 OK", "Content-Length: 3")`."""
    return "\r\n".join([f"HTTP/{version} {status}", *fields, "", ""]).encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; without data the last one, up to the trailers."""
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b"0\r\n"


def whole(body: bytes, status: str = "200 OK", *fields: str) -> Script:
    """Read the request and answer it as one would wish."""

    async def script(exchange: Exchange) -> None:
        await exchange.body()
        given = fields or ("Content-Type: application/json",)
        await exchange.send(head(status, *given, f"Content-Length: {len(body)}") + body)

    return script


def sends(*parts: bytes, then: Callable[[Exchange], None] | None = None) -> Script:
    """Read the request, write these bytes, one write each; then close or reset, or be ready for the next request."""

    async def script(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.send(*parts)
        if then is not None:
            then(exchange)

    return script


def event(word: str) -> bytes:
    """One event of a streamed chat completion."""
    choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
    return b"data: " + json.dumps({"object": "chat.completion.chunk", "choices": [choice]}).encode() + b"\n\n"


STREAM = head("200 OK", "Content-Type: text/event-stream; charset=utf-8", "Transfer-Encoding: chunked")


def streams(words: Sequence[str] = ("one", "two", "three"), every_s: float = 0.0) -> Script:
    """A stream as vLLM writes it: head, a chunk for each event, [DONE]."""

    async def script(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.send(STREAM)
        for word in words:
            await exchange.send(chunk(event(word)))
            await asyncio.sleep(every_s)
        await exchange.send(chunk(DONE) + chunk(b"") + b"\r\n")

    return script


async def completion(exchange: Exchange) -> None:
    """A chat completion, or a stream, by the model that was asked for."""
    asked = json.loads(await exchange.body() or b"{}", parse_int=str)  # an int has a most number of digits
    if asked.get("stream") is True:
        return await streams()(exchange)
    message = {"role": "assistant", "content": f"I am {asked.get('model')}"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    body = {"id": "c", "object": "chat.completion", "model": asked.get("model"), "choices": [choice], "usage": usage}
    return await whole(json.dumps(body).encode())(exchange)


async def stall(exchange: Exchange) -> None:
    """Take the request and never answer."""
    await exchange.body()
    await exchange.hold()


async def stall_in_stream(exchange: Exchange) -> None:
    """Answer with the first event, and then fall silent."""
    await exchange.body()
    await exchange.send(STREAM + chunk(event("one")))
    await exchange.hold()


async def _models(exchange: Exchange) -> None:
    await whole(json.dumps(MODELS).encode())(exchange)
