"""Send and read streams in one process with one clock and one epoll loop: python -m relay.stream_load

Prints the port at which it answers as vLLM would: a stream gets its head at once and then a chunk every interval, each
with the nanosecond at which it was sent. Each input line is a window, JSON of `StreamWindow`; each output line is the
window's result. In between it answers the health checks of proxies.

It uses sockets and epoll without asyncio, which leaves half a core free at 50,000 chunks per second.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from target import quantile

from relay import exchange
from relay.arrivals import ChunkArrivals

GOLDEN = 0.6180339887
RAMP = 0.25
"""Share of a stream's length within which all streams begin."""
READ = 1 << 16
_STREAM = re.compile(rb'"stream":\s*true')
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)


class StreamWindow(msgspec.Struct, frozen=True):
    """A window: streams of `chunks`, one every `interval_ms`, through `port`; cut off after `limit_s`."""

    port: int
    streams: int
    chunks: int
    interval_ms: float
    limit_s: float


def starts(streams: int, ramp: float, interval: float) -> list[float]:
    """Return the streams' start times in seconds: spread over the `ramp`, with chunks evenly over the interval."""
    steps = max(1, min(streams, round(ramp / interval)))
    return sorted((index * steps // streams + index * GOLDEN % 1.0) * interval for index in range(streams))


class _ProxyConnection:
    """A connection from the proxy."""

    __slots__ = ("due", "left", "loop", "received", "socket", "unsent")

    def __init__(self, loop: _Loop, connection: socket.socket) -> None:
        self.loop, self.socket = loop, connection
        self.received = self.unsent = b""
        self.left = 0
        self.due = 0.0

    def read(self) -> None:
        data = _receive(self.socket)
        if not data:
            self.left = 0
            self.loop.forget(self.socket)
            return
        self.received += data
        if (whole := request_length(self.received)) is not None:
            asked, self.received = self.received[:whole], self.received[whole:]
            self.answer(asked)

    def answer(self, asked: bytes) -> None:
        if _STREAM.search(asked):
            self.left = self.loop.window.chunks
            self.due = time.monotonic() + self.loop.interval
            self.loop.heads += 1
            self.send(exchange.stream_head(self.loop.heads))
            self.loop.sending.append(self)
            return
        body = (exchange.MODELS if asked.startswith(b"GET /v1/models") else exchange.completion()).encode()
        self.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    def send_chunk(self) -> None:
        self.left -= 1
        data = exchange.chunk(time.monotonic_ns())
        self.send(data if self.left else data + exchange.STREAM_END)

    def send(self, data: bytes) -> None:
        """Send data; what the proxy does not accept now is sent with the next chunk."""
        data = self.unsent + data
        try:
            self.unsent = data[self.socket.send(data) :]
        except BlockingIOError:
            self.unsent = data
        except ConnectionError:
            self.left = 0


class _StreamClient:
    """A client with one stream."""

    __slots__ = ("arrivals", "begun", "loop", "socket")

    def __init__(self, loop: _Loop, connection: socket.socket) -> None:
        self.loop, self.socket = loop, connection
        self.arrivals = ChunkArrivals(loop.delays)
        self.begun = 0

    def begin(self) -> None:
        self.begun = time.monotonic_ns()
        with contextlib.suppress(ConnectionError):
            self.socket.send(self.loop.request)

    def read(self) -> None:
        data = _receive(self.socket)
        if data:
            self.arrivals.feed(data, time.monotonic_ns())
        if not data or self.arrivals.ended:
            self.loop.open -= 1
            self.loop.forget(self.socket)


class _Loop:
    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.handlers: dict[int, Callable[[], None]] = {}
        self.window = StreamWindow(0, 0, 1, 10.0, 0.0)
        self.interval = 0.01
        self.sending: deque[_ProxyConnection] = deque()
        self.delays: list[int] = []
        self.late: list[float] = []
        self.request = b""
        self.open = self.heads = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.listener.setblocking(False)
        self.watch(self.listener, self.accept)

    def watch(self, connection: socket.socket, handler: Callable[[], None]) -> None:
        self.handlers[connection.fileno()] = handler
        self.epoll.register(connection.fileno(), select.EPOLLIN)

    def forget(self, connection: socket.socket) -> None:
        if connection.fileno() >= 0:
            del self.handlers[connection.fileno()]
            connection.close()

    def accept(self) -> None:
        connection, _ = self.listener.accept()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.watch(connection, _ProxyConnection(self, connection).read)

    def turn(self, until: float) -> None:
        """Handle events and due chunks; wait until `until` at most."""
        events = self.epoll.poll(0)
        if not events:
            due = min(until, self.sending[0].due) if self.sending else until
            if (left := due - time.monotonic()) > 0:
                select.select([self.epoll], [], [], left)  # in microseconds; epoll waits whole milliseconds
                events = self.epoll.poll(0)
        for descriptor, _ in events:
            if handler := self.handlers.get(descriptor):
                handler()
        now = time.monotonic()
        sending = self.sending
        while sending and sending[0].due <= now:
            stream = sending.popleft()
            if stream.left:
                self.late.append(now - stream.due)
                stream.send_chunk()
                stream.due += self.interval
                if stream.left:
                    sending.append(stream)

    def serve(self, window: StreamWindow) -> dict[str, Any]:
        """Run one window."""
        self.window, self.interval = window, window.interval_ms / 1000
        body = exchange.request(exchange.KIB, stream=True)
        self.request = _head(len(body)) + body
        self.delays, self.late, self.open = [], [], window.streams
        readers = []
        for _ in range(window.streams):
            connection = socket.create_connection(("127.0.0.1", window.port), timeout=10)
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            readers.append(_StreamClient(self, connection))
            self.watch(connection, readers[-1].read)
        cpu, began = time.process_time(), time.monotonic()
        ramp = RAMP * window.chunks * self.interval
        waiting = deque(zip(starts(window.streams, ramp, self.interval), readers, strict=True))
        while self.open and time.monotonic() < began + window.limit_s:
            now = time.monotonic()
            while waiting and began + waiting[0][0] <= now:
                waiting.popleft()[1].begin()
            self.turn(began + (waiting[0][0] if waiting else window.limit_s))
        seconds, busy = time.monotonic() - began, time.process_time() - cpu
        for reader in readers:
            self.forget(reader.socket)
        first = [
            (reader.arrivals.first - reader.begun) / 1e9 - self.interval for reader in readers if reader.arrivals.first
        ]
        return {
            "whole": sum(reader.arrivals.ended and reader.arrivals.chunks == window.chunks for reader in readers),
            "chunks": len(self.delays),
            "seconds": round(seconds, 3),
            "load_busy": round(busy / seconds, 3),
            "late_p99_us": round(quantile(self.late, 0.99) * 1e6, 1) if self.late else 0.0,
            **_spread("first", first, window.limit_s),
            **_spread("delay", [delay / 1e9 for delay in self.delays], window.limit_s),
        }


def _spread(name: str, seconds: list[float], limit: float) -> dict[str, float]:
    """Return a spread in microseconds; without values, the window's limit."""
    return {f"{name}_p{share}_us": round(quantile(seconds or [limit], share / 100) * 1e6, 1) for share in (50, 99)}


def _head(length: int) -> bytes:
    headers = exchange.HEADERS | {"Host": "127.0.0.1", "Content-Length": str(length)}
    lines = [f"POST {exchange.PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def request_length(data: bytes) -> int | None:
    """Return the length of the first request; None while it is incomplete."""
    end = data.find(b"\r\n\r\n") + 4
    if end < 4:
        return None
    if found := _LENGTH.search(data, 0, end):
        whole = end + int(found[1])
        return whole if len(data) >= whole else None
    if b"chunked" in data[:end].lower():
        last = data.find(exchange.LAST_CHUNK, end - 2)
        return None if last < 0 else last + len(exchange.LAST_CHUNK)
    return end


def _receive(connection: socket.socket) -> bytes:
    """Return the data received; empty if the other end has closed."""
    try:
        return connection.recv(READ)
    except ConnectionError:
        return b""


def main() -> None:
    gc.disable()
    loop = _Loop()
    print(loop.listener.getsockname()[1], flush=True)
    commands: list[StreamWindow] = []
    os.set_blocking(sys.stdin.fileno(), False)

    def command() -> None:
        for line in os.read(sys.stdin.fileno(), READ).splitlines() or [b""]:
            if not line:
                raise SystemExit
            commands.append(msgspec.json.decode(line, type=StreamWindow))

    loop.handlers[sys.stdin.fileno()] = command
    loop.epoll.register(sys.stdin.fileno(), select.EPOLLIN)
    while True:
        loop.turn(time.monotonic() + 1.0)
        while commands:
            result = loop.serve(commands.pop(0))
            print(json.dumps(result), flush=True)
            gc.collect()


if __name__ == "__main__":
    main()
