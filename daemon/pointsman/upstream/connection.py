"""One connection to vLLM: sends a request, and passes on its answer as bytes, without a task or a copy."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from pointsman.errors import UpstreamBroken, UpstreamError
from pointsman.http1.body import CloseFraming, Framing, MalformedBody
from pointsman.http1.grammar import MAX_HEAD_BYTES
from pointsman.http1.response_head import MalformedHead, ResponseHead, read_head
from pointsman.long_body import Body
from pointsman.read_turns import MIN_LONG_BYTES, read_turns
from pointsman.upstream.upload import Upload

# vLLM's FIN and our request may cross within a round trip, or a second if TCP has to retransmit one of them. If the
# connection closes later, vLLM may have begun to generate.
CROSSING_SECONDS = 1.0
# Join head and body of a smaller request: one copy costs less than a vectored write.
JOINED_BODY_BYTES = 65_536
# Time to send the last bytes once the client has left.
FLUSH_SECONDS = 0.1


class StaleConnection(UpstreamBroken):
    """A reused connection died at once: vLLM had closed it while idle, and cannot have read the request."""


class Receiver(Protocol):
    """The receiver of an answer. Nothing more comes after `end` or `fail`."""

    def head(self, head: ResponseHead) -> Framing:
        """Take the head and return the framing of the body; raises UpstreamError to refuse the answer."""

    def data(self, data: bytes) -> None:
        """Take more of the body, after `Framing.feed`; empty if the head came alone."""

    def end(self) -> None:
        """Take note that the body is complete."""

    def fail(self, error: UpstreamError) -> None:
        """Take note that the body will never be complete."""


class RequestWriter(Protocol):
    """The writer to a connection, as the connection sees it."""

    def pause(self) -> None:
        """Stop writing until `resume`: vLLM reads too slowly."""

    def resume(self) -> None:
        """Resume writing."""


class ConnectionOwner(Protocol):
    """The pool as a connection sees it."""

    where: str

    def opened(self, connection: UpstreamConnection) -> None:
        """Register a connection."""

    def send_soon(self, connection: UpstreamConnection) -> None:
        """Schedule the connection to send its request in this turn of the event loop."""

    def put(self, connection: UpstreamConnection) -> None:
        """Keep an idle connection for the next request."""

    def forget(self, connection: UpstreamConnection) -> None:
        """Remove a closed connection."""


class UpstreamConnection(asyncio.Protocol):
    """One connection, with one request at a time."""

    __slots__ = (
        "_asked",
        "_early",
        "_feeder",
        "_framing",
        "_head",
        "_loop",
        "_owner",
        "_persistent",
        "_receiver",
        "_reusable",
        "_transport",
        "_turns",
        "_unsent",
        "_upload",
        "idle_since",
        "reused",
        "switches",
    )

    def __init__(self, owner: ConnectionOwner, *, reusable: bool) -> None:
        """Take the connection's options; `reusable`: another request may use it after an answer."""
        self._owner = owner
        self._reusable = reusable
        self._loop = asyncio.get_running_loop()
        self._turns = read_turns()
        self.reused = False
        self.idle_since = 0.0
        self._receiver: Receiver | None = None
        self._framing: Framing | None = None
        self._head = b""
        self._asked = 0.0
        self._early = True  # no byte of an answer has come
        self._persistent = True
        self._unsent: tuple[bytes, Body] | None = None
        self._upload: Upload | None = None  # of a long body
        self._feeder: RequestWriter | None = None  # told when to pause
        self.switches = False
        """The receiver accepts a 101 (Switching Protocols) as an answer, whose body ends with the connection."""

    @property
    def where(self) -> str:
        """The endpoint's name, for errors, which clients see."""
        return self._owner.where

    @property
    def usable(self) -> bool:
        """True while the connection can take a request."""
        return self._receiver is None and not self._transport.is_closing()

    @property
    def sent(self) -> bool:
        """True once the kernel has taken the whole request."""
        written = self._upload is None or self._upload.done
        return self._unsent is None and written and not self._transport.get_write_buffer_size()

    def request(self, head: bytes, body: Body, receiver: Receiver) -> None:
        """Send a request in this turn of the event loop, head and body in one write; `receiver` gets its answer."""
        self._receiver = receiver
        self._framing = None
        self._head = b""
        self._asked = self._loop.time()
        self._early = True
        self._persistent = True
        self.switches = False
        self._unsent = head, body
        self._owner.send_soon(self)

    def send(self) -> None:
        """Write the request that was left for `ConnectionOwner.send_soon`."""
        unsent, self._unsent = self._unsent, None
        if unsent is None or self._transport.is_closing():
            return
        head, body = unsent
        if isinstance(body, bytes) and len(body) <= JOINED_BODY_BYTES:
            self._upload = self._feeder = None
            self._transport.write(head + body)
        else:
            self._upload = self._feeder = Upload(self._transport, head, body)
            self._upload.write()

    def switched(self, feeder: RequestWriter) -> None:
        """Let `feeder` call `write` from now on."""
        self._feeder = feeder

    def write(self, data: bytes) -> None:
        """Send bytes of another protocol."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def divert(self, receiver: Receiver) -> None:
        """Give the remaining answer, whose head has just come, to another receiver."""
        self._receiver = receiver

    def pause(self) -> None:
        """Stop reading until `resume`: the client is slow.

        After a complete answer there is nothing left to read, and the connection's next user would wait in vain.
        """
        whole = self._framing is not None and self._framing.done
        if not whole and not self._transport.is_closing():
            self._turns.pause(self._transport)

    def resume(self) -> None:
        """Resume reading."""
        if not self._transport.is_closing():
            self._turns.resume(self._transport)

    def abort(self) -> None:
        """Close at once, which makes vLLM stop generating. The receiver is not called again."""
        self._receiver = None
        self._transport.abort()

    def close(self) -> None:
        """Close as `abort` does, but send written bytes first, for at most FLUSH_SECONDS."""
        self._receiver = self._feeder = None
        self._transport.close()
        self._loop.call_later(FLUSH_SECONDS, self._transport.abort)

    # --- called by the event loop ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._owner.opened(self)

    def pause_writing(self) -> None:
        if self._feeder is not None:
            self._feeder.pause()

    def resume_writing(self) -> None:
        if self._feeder is not None:
            self._feeder.resume()

    def data_received(self, data: bytes) -> None:
        receiver = self._receiver
        if receiver is None:  # bytes without a request
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
                receiver = self._receiver or receiver  # `head` may have diverted the answer
            passed = framing.feed(data)
            if len(data) >= MIN_LONG_BYTES:
                self._turns.took(self._transport, len(data), more=not framing.done)
            receiver.data(passed)  # may call `pause`
        except (MalformedBody, MalformedHead) as error:
            self._fail(UpstreamBroken(f"{self.where} answered with something else than HTTP ({error})"))
        except UpstreamError as error:
            self._fail(error)
        else:
            if framing.done:
                self._end(framing)

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.forget(self)
        self._upload = self._feeder = None
        receiver, self._receiver = self._receiver, None
        if receiver is None:
            return
        framing = self._framing
        if framing is not None and framing.ends_with_connection and exc is None:
            if isinstance(framing, CloseFraming):
                receiver.data(framing.end())
            receiver.end()
        elif framing is not None:
            receiver.fail(UpstreamBroken(f"{self.where} broke off its answer"))
        elif self.reused and self._early and self._loop.time() < self._asked + CROSSING_SECONDS:
            receiver.fail(StaleConnection(f"{self.where} had closed an idle connection"))
        else:
            receiver.fail(UpstreamBroken(f"{self.where} broke the connection before it answered"))

    # --- an answer ---------------------------------------------------------------------------------------------

    def _until_head(self, data: bytes, receiver: Receiver) -> tuple[Framing, bytes] | None:
        """Return the framing and the bytes after the head, or None while the head is incomplete; skip 1xx answers."""
        if self._head:
            data = self._head + data
        while True:
            end = data.find(b"\r\n\r\n") + 4
            if end == 3:
                if len(data) > MAX_HEAD_BYTES:
                    raise MalformedHead(f"its head is longer than {MAX_HEAD_BYTES} bytes")
                self._head = data
                return None
            if end > MAX_HEAD_BYTES:
                raise MalformedHead(f"its head is longer than {MAX_HEAD_BYTES} bytes")
            head = read_head(data[:end])
            data = data[end:]
            if head.status == 101 and not self.switches:
                raise MalformedHead("it switches protocols")
            if head.status >= 200 or head.status == 101:
                break
        self._head = b""
        self._persistent = head.persistent
        self._framing = framing = receiver.head(head)
        return framing, data

    def _end(self, framing: Framing) -> None:
        receiver, self._receiver = self._receiver, None
        transport = self._transport
        # vLLM may answer before it has read the whole body: unwritten bytes must not precede another request.
        if self._reusable and self._persistent and not framing.surplus and self.sent:
            self._owner.put(self)
        else:
            transport.abort()
        if receiver is not None:
            receiver.end()

    def _fail(self, error: UpstreamError) -> None:
        receiver, self._receiver = self._receiver, None
        self._transport.abort()
        if receiver is not None:
            receiver.fail(error)
