"""Connections to one vLLM: a pool of them, and on each the answer's bytes as they come, without a task or a copy."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
import time
from collections import deque
from typing import Protocol, cast
from urllib.parse import urlsplit

from pointsman.config.model import Endpoint
from pointsman.errors import UpstreamBroken, UpstreamError, UpstreamUnreachable
from pointsman.relay.framing import Framing, Malformed, UntilClose
from pointsman.relay.head import LONGEST_HEAD_BYTES, BadHead, Head, read_head

# vLLM closes a connection that was idle for 5 s; a request sent at that moment would be lost.
IDLE_CONNECTION_SECONDS = 3.0
# Its FIN and our request cross within a round trip, or a second where TCP has to send one of them again. What closes a
# connection later may have begun to generate.
CROSSING_SECONDS = 1.0


class NotStarted(UpstreamBroken):
    """A connection that had served died as it was used again: vLLM had closed it, idle, already."""


class Receiver(Protocol):
    """Where an answer goes. After `end` or `fail` nothing more comes."""

    def head(self, head: Head) -> Framing:
        """The head has come; the framing that the body is to be read with. Raises UpstreamError to refuse it."""

    def data(self, data: bytes) -> None:
        """More of the body, after `Framing.feed`; empty when the head came alone."""

    def end(self) -> None:
        """The body is whole."""

    def fail(self, error: UpstreamError) -> None:
        """It will never be whole."""


class Channel(asyncio.Protocol):
    """One connection, with one request on it at a time."""

    __slots__ = (
        "_asked",
        "_early",
        "_framing",
        "_head",
        "_kept",
        "_persistent",
        "_receiver",
        "_transport",
        "_unsent",
        "idle_since",
        "pool",
        "reused",
    )

    def __init__(self, pool: Pool, *, kept: bool) -> None:
        """`kept`: once it has answered, the pool may give it to the next request."""
        self.pool = pool
        self._kept = kept
        self.reused = False
        self.idle_since = 0.0
        self._receiver: Receiver | None = None
        self._framing: Framing | None = None
        self._head = b""
        self._asked = 0.0
        self._early = True  # whether no byte of an answer has come
        self._persistent = True
        self._unsent: tuple[bytes, bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.pool.opened(self)

    @property
    def usable(self) -> bool:
        """Whether it can take a request."""
        return self._receiver is None and not self._transport.is_closing()

    def request(self, head: bytes, body: bytes, receiver: Receiver) -> None:
        """Send a request, head and body in one write, in this turn of the loop; its answer goes to `receiver`."""
        self._receiver = receiver
        self._framing = None
        self._head = b""
        self._asked = time.monotonic()
        self._early = True
        self._persistent = True
        self._unsent = head, body
        self.pool.send_soon(self)

    def send(self) -> None:
        """Write the request, whose turn has come."""
        unsent, self._unsent = self._unsent, None
        if unsent is None or self._transport.is_closing():
            return
        head, body = unsent
        if len(body) <= 65_536:
            self._transport.write(head + body)
        else:
            self._transport.writelines(unsent)  # the transport keeps what the socket does not take, uncopied

    def divert(self, receiver: Receiver) -> None:
        """The rest of the answer, whose head has just come, goes to another."""
        self._receiver = receiver

    def pause(self) -> None:
        """Read no more until `resume`: the client is slow."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close at once, which makes vLLM stop generating. The receiver hears nothing more."""
        self._receiver = None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        receiver = self._receiver
        if receiver is None:  # bytes that nobody asked for
            self._transport.abort()
            return
        framing = self._framing
        try:
            if framing is None:
                self._early = False
                rest = self._until_head(data, receiver)
                if rest is None:
                    return
                framing, data = rest
                receiver = self._receiver or receiver  # `head` may have had it taken over
            receiver.data(framing.feed(data))
        except (Malformed, BadHead) as error:
            self._fail(UpstreamBroken(f"{self.pool.where} answered with something else than HTTP ({error})"))
        except UpstreamError as error:
            self._fail(error)
        else:
            if framing.done:
                self._end(framing)

    def _until_head(self, data: bytes, receiver: Receiver) -> tuple[Framing, bytes] | None:
        """The framing and what follows the head; None while that is not whole. 1xx answers are passed over."""
        if self._head:
            data = self._head + data
        while True:
            end = data.find(b"\r\n\r\n") + 4
            if end == 3:
                if len(data) > LONGEST_HEAD_BYTES:
                    raise BadHead(f"its head is longer than {LONGEST_HEAD_BYTES} bytes")
                self._head = data
                return None
            if end > LONGEST_HEAD_BYTES:
                raise BadHead(f"its head is longer than {LONGEST_HEAD_BYTES} bytes")
            head = read_head(data[:end])
            data = data[end:]
            if head.status == 101:
                raise BadHead("it switches protocols")
            if head.status >= 200:
                break
        self._head = b""
        self._persistent = head.persistent
        self._framing = framing = receiver.head(head)
        return framing, data

    def _end(self, framing: Framing) -> None:
        receiver, self._receiver = self._receiver, None
        transport = self._transport
        # vLLM may answer before it has read all of the body: what is still to be written is no new request's start.
        written = self._unsent is None and not transport.get_write_buffer_size()
        if self._kept and self._persistent and not framing.surplus and written:
            self.pool.put(self)
        else:
            transport.abort()
        if receiver is not None:
            receiver.end()

    def _fail(self, error: UpstreamError) -> None:
        receiver, self._receiver = self._receiver, None
        self._transport.abort()
        if receiver is not None:
            receiver.fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self.pool.forget(self)
        receiver, self._receiver = self._receiver, None
        if receiver is None:
            return
        framing = self._framing
        if framing is not None and framing.ends_with_connection and exc is None:
            if isinstance(framing, UntilClose):
                receiver.data(framing.end())
            receiver.end()
        elif framing is not None:
            receiver.fail(UpstreamBroken(f"{self.pool.where} broke off its answer"))
        elif self.reused and self._early and time.monotonic() < self._asked + CROSSING_SECONDS:
            receiver.fail(NotStarted(f"{self.pool.where} had closed an idle connection"))
        else:
            receiver.fail(UpstreamBroken(f"{self.pool.where} broke the connection before it answered"))


class Pool:
    """The connections to one endpoint: as many as are needed, those that are idle kept for the next request."""

    def __init__(self, endpoint: Endpoint, connect_timeout: float) -> None:
        """`connect_timeout` is in seconds. Paths and headers that requests to it need are composed once."""
        address = urlsplit(endpoint.base_url)
        self.endpoint = endpoint
        self.where = f"endpoint {endpoint.name} ({endpoint.socket_path or endpoint.base_url})"
        self.prefix = address.path.encode()
        self.host_line = b"Host: %b\r\n" % address.netloc.encode("idna" if not address.netloc.isascii() else "ascii")
        self._tls = ssl.create_default_context() if address.scheme == "https" else None
        self._host, self._port = address.hostname or "", address.port or (443 if self._tls else 80)
        self.connect_timeout = connect_timeout
        self._idle: deque[Channel] = deque()
        self._open: set[Channel] = set()
        self._unsent: list[Channel] = []
        self._sweep: asyncio.TimerHandle | None = None

    def take(self) -> Channel | None:
        """The connection that was used last, if one is idle for less than IDLE_CONNECTION_SECONDS."""
        oldest = time.monotonic() - IDLE_CONNECTION_SECONDS
        while self._idle:
            channel = self._idle.pop()
            if channel.idle_since < oldest:
                channel.abort()
            elif channel.usable:
                channel.reused = True
                return channel
        return None

    async def connect(self, *, kept: bool = True) -> Channel:
        """A new connection, `kept` after its first answer or not; raises UpstreamUnreachable."""
        loop = asyncio.get_running_loop()
        make = functools.partial(Channel, self, kept=kept)
        try:
            async with asyncio.timeout(self.connect_timeout):
                if self.endpoint.socket_path is not None:
                    _, channel = await loop.create_unix_connection(make, self.endpoint.socket_path)
                else:
                    _, channel = await loop.create_connection(make, self._host, self._port, ssl=self._tls)
        except (OSError, TimeoutError) as error:
            why = "it did not answer in time" if isinstance(error, TimeoutError) else str(error)
            raise UpstreamUnreachable(f"no connection to {self.where}; is vLLM running there? ({why})") from error
        return channel

    def opened(self, channel: Channel) -> None:
        """A connection is there."""
        self._open.add(channel)

    def send_soon(self, channel: Channel) -> None:
        """Have it send with all others of this turn of the loop.

        Were they written one by one between answers to clients, vLLM would fall asleep and be woken for each.
        """
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._send)
        self._unsent.append(channel)

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        for channel in unsent:
            channel.send()

    def put(self, channel: Channel) -> None:
        """Keep a connection for the next request."""
        channel.idle_since = time.monotonic()
        self._idle.append(channel)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(IDLE_CONNECTION_SECONDS, self._close_idle)

    def forget(self, channel: Channel) -> None:
        """A connection is gone."""
        self._open.discard(channel)
        if channel.idle_since:
            with contextlib.suppress(ValueError):
                self._idle.remove(channel)

    def _close_idle(self) -> None:
        oldest = time.monotonic() - IDLE_CONNECTION_SECONDS
        while self._idle and self._idle[0].idle_since <= oldest:
            self._idle.popleft().abort()
        self._sweep = None
        if self._idle:
            delay = self._idle[0].idle_since - oldest
            self._sweep = asyncio.get_running_loop().call_later(delay, self._close_idle)

    def close(self) -> None:
        """Close every connection; running answers are lost."""
        if self._sweep is not None:
            self._sweep.cancel()
        for channel in list(self._open):
            channel.abort()
        self._idle.clear()
