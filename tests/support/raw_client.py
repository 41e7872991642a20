"""A client that sends bytes as they are and reads answers as strictly as the grammar is written."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from support.process import PATIENCE_SECONDS

CHAT = "/v1/chat/completions"

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d) ?([\t -~\x80-\xff]*)")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")


class Cut(Exception):
    """The connection ended inside an answer; `got` is what had come of its body."""

    def __init__(self, what: str, got: bytes = b"") -> None:
        super().__init__(what)
        self.got = got


@dataclass(frozen=True)
class Got:
    """An answer that was whole."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> Any:
        """The code of an error in OpenAI's form, all of whose fields must be there."""
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        assert isinstance(error["message"], str)
        return error["code"]

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def value(self, name: str) -> str | None:
        """The value of a header that comes once at most."""
        (value,) = self.values(name) or (None,)
        return value


def post(body: Mapping[str, Any] | bytes, *fields: str, path: str = CHAT) -> bytes:
    """A whole request."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request_head(len(data), *fields, path=path) + data


def request_head(length: int, *fields: str, path: str = CHAT) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: test", "Content-Type: application/json", f"Content-Length: {length}")
    return "\r\n".join([*lines, *fields, "", ""]).encode("latin-1")


def chat(text: str = "hello", model: str = "base", **fields: Any) -> dict[str, Any]:
    """A chat request that names its model, so that nothing is classified."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, *, timeout_s: float = PATIENCE_SECONDS) -> Got:
        """The next answer, whole; answers with 1xx are skipped. Raises Cut."""
        async with asyncio.timeout(timeout_s):
            while (got := await self._answer()).status < 200:
                pass
        return got

    async def head(self) -> tuple[int, list[tuple[str, str]]]:
        """Status and headers of the next answer. Raises Cut."""
        try:
            raw = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Cut("before the head was whole", getattr(error, "partial", b"")) from None
        first, *lines = raw[:-4].split(b"\r\n")
        status = _STATUS_LINE.fullmatch(first)
        assert status, f"no status line: {first!r}"
        fields = [_FIELD.fullmatch(line) for line in lines]
        assert all(fields), f"no fields: {lines!r}"
        return int(status[2]), [(found[1].decode(), found[2].decode("latin-1")) for found in fields if found]

    async def _answer(self) -> Got:
        status, headers = await self.head()
        got = Got(status, headers, b"")
        if 100 <= status < 200 or status in {204, 304}:
            return got
        lengths, codings = got.values("content-length"), got.values("transfer-encoding")
        assert len(lengths) + len(codings) <= 1, f"framing {lengths} {codings}"
        if codings:
            assert codings == ["chunked"], codings
            return Got(status, headers, await self._chunks())
        if not lengths:
            return Got(status, headers, await self._to_end())
        try:
            return Got(status, headers, await self.reader.readexactly(int(lengths[0])))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Cut("inside the body", getattr(error, "partial", b"")) from None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks of a chunked body after its head, as they come. Raises Cut."""
        try:
            while size := int((await self.reader.readuntil(b"\r\n")).partition(b";")[0], 16):
                yield await self.reader.readexactly(size)
                assert await self.reader.readexactly(2) == b"\r\n"
            while await self.reader.readuntil(b"\r\n") != b"\r\n":
                pass
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Cut("inside a chunked body", getattr(error, "partial", b"")) from None

    async def _chunks(self) -> bytes:
        body = bytearray()
        try:
            async for data in self.chunks():
                body += data
        except Cut as error:
            raise Cut(str(error), bytes(body) + error.got) from None
        return bytes(body)

    async def _to_end(self) -> bytes:
        try:
            return await self.reader.read()
        except ConnectionError:
            raise Cut("before its end") from None

    async def until(self, end: bytes) -> bytes:
        """Raw bytes up to and with `end`."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.reader.readuntil(end)

    async def rest(self, *, timeout_s: float = PATIENCE_SECONDS) -> bytes:
        """Raw bytes until the daemon closes; a reset ends them too."""
        got = bytearray()
        async with asyncio.timeout(timeout_s):
            with contextlib.suppress(ConnectionError):
                while data := await self.reader.read(65536):
                    got += data
        return bytes(got)

    def leave(self) -> float:
        """Be gone at once, with RST as when the process is killed; the monotonic time of it."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        return time.monotonic()

    def close(self) -> float:
        """Close it with FIN, both ways; the monotonic time of it."""
        self.writer.close()
        return time.monotonic()


@contextlib.asynccontextmanager
async def connect(
    base_url: str,
    *,
    receive_buffer: int | None = None,
    source: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[RawClient]:
    """Connect to `http(s)://host:port`; a small `receive_buffer` (bytes) makes a reader that is slow felt soon.

    `source` is the address to come from, 127.0.0.0/8 on Linux.
    """
    host, _, port = base_url.partition("://")[2].partition(":")
    raw = socket.socket()
    if receive_buffer is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if source is not None:
        raw.bind((source, 0))
    raw.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(raw, (host, int(port)))
        name = None if tls is None else host
        limit = receive_buffer or 2**20
        reader, writer = await asyncio.open_connection(sock=raw, limit=limit, ssl=tls, server_hostname=name)
    except BaseException:  # also a canceled client
        raw.close()
        raise
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()


async def ask(base_url: str, body: Mapping[str, Any] | bytes, *fields: str, path: str = CHAT, **options: Any) -> Got:
    """One request on a connection of its own."""
    async with connect(base_url, **options) as client:
        client.send(post(body, *fields, path=path))
        return await client.answer()
