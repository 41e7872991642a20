"""Stand in for vLLM in a process of its own: `python -m soak.upstream PORT` obeys one command a line on stdin.

`die` and `listen` are a kill and a restart, `reset` breaks every connection, `unlist` and `list` are about adapters.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from soak.answer import ADAPTERS, BASE, events, plain
from soak.child import Child, child, commands

ENDLESS = "endless"
"""A stream for a text that begins so ends only with its client."""
GAP_SECONDS = 0.005
"""Between the parts of an endless stream."""
_READ_BYTES = 2**16
"""A longer body is counted, not read."""
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass
class Upstream:
    """The state that all connections share."""

    port: int
    listed: bool = True
    connections: set[UpstreamSideConnection] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def obey(self, command: str) -> None:
        if command in {"die", "reset"}:
            if command == "die" and self._server is not None:
                self._server.close()
                self._server = None
            for connection in list(self.connections):
                connection.reset()
        elif command == "listen" and self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: UpstreamSideConnection(self), "127.0.0.1", self.port, backlog=1024
            )
        elif command in {"list", "unlist"}:
            self.listed = command == "list"

    def models(self) -> bytes:
        names = [BASE, *(ADAPTERS.values() if self.listed else ())]
        found = [{"id": name, "object": "model", "parent": None if name == BASE else BASE} for name in names]
        return json.dumps({"object": "list", "data": found}).encode()


class UpstreamSideConnection(asyncio.Protocol):
    """One connection, whose requests are answered in order."""

    def __init__(self, owner: Upstream) -> None:
        self._owner = owner
        self._buffer = bytearray()
        self._left = 0
        """Bytes that are still to come of a body that is not read."""
        self._writing: Iterator[bytes] | None = None
        self._gap = 0.0
        self._paused = False
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # connection_made comes first

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._owner.connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        self._owner.connections.discard(self)
        self._writing = None

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._write()

    def reset(self) -> None:
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._left:
            taken = min(self._left, len(data))
            self._left -= taken
            data = data[taken:]
            if not self._left:
                self._answer(plain("any", "long"))
        self._buffer += data
        self._read()

    def _read(self) -> None:
        while not self._left and self._writing is None and (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end])
            found = _LENGTH.search(head)
            length, have = int(found[1]) if found else 0, len(self._buffer) - end - 4
            if length > _READ_BYTES and have < length:
                self._left = length - have
                self._buffer.clear()
                return
            if have < length:
                return
            body = bytes(self._buffer[end + 4 : end + 4 + length])
            del self._buffer[: end + 4 + length]
            self._take(head.split(b" ", 2)[1], body)

    def _take(self, target: bytes, body: bytes) -> None:
        if target == b"/health":
            self._answer(b"")
        elif target == b"/v1/models":
            self._answer(self._owner.models())
        elif len(body) > _READ_BYTES:
            self._answer(plain("any", "long"))
        else:
            self._complete(body)

    def _complete(self, body: bytes) -> None:
        """Answer a small request."""
        asked = json.loads(body)
        model, text = asked["model"], asked["messages"][-1]["content"]
        if model in ADAPTERS.values() and not self._owner.listed:
            error = {"message": f"The model `{model}` does not exist.", "type": "NotFoundError", "code": 404}
            self._answer(json.dumps({"error": error | {"param": "model"}}).encode(), b"404 Not Found")
        elif asked.get("stream"):
            endless = text.startswith(ENDLESS)
            self._writing, self._gap = (
                (_endless(), GAP_SECONDS) if endless else (iter(_chunks(events(model, text))), 0.0)
            )
            self._write()
        else:
            self._answer(plain(model, text))

    def _answer(self, body: bytes, status: bytes = b"200 OK") -> None:
        head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.transport.write(head % (status, len(body)) + body)

    def _write(self) -> None:
        if self._writing is None or self._paused:
            return
        part = next(self._writing, None)
        if part is None:
            self._writing = None
            self._read()
        else:
            self.transport.write(part)
            asyncio.get_running_loop().call_later(self._gap, self._write)


def _chunks(parts: Iterable[bytes]) -> list[bytes]:
    """Return the head and the chunks of a streamed answer, one a write."""
    return [_STREAM, *(b"%x\r\n%s\r\n" % (len(part), part) for part in parts), b"0\r\n\r\n"]


def _endless() -> Iterator[bytes]:
    event = b"data: " + b"x" * 65_536 + b"\n\n"
    yield _STREAM
    while True:
        yield b"%x\r\n%s\r\n" % (len(event), event)


def run_upstream(port: int) -> AbstractAsyncContextManager[Child]:
    """Run the stand-in on a port of 127.0.0.1 for as long as the block lasts."""
    return child("soak.upstream", str(port))


async def serve(port: int) -> None:
    """Listen, and obey until stdin closes."""
    owner = Upstream(port)
    await owner.obey("listen")
    async for command in commands():
        await owner.obey(command)
        print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
