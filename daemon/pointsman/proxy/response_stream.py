"""One answer on its way from vLLM to the client: written as it comes."""

from __future__ import annotations

import abc
import re
import time
from typing import TYPE_CHECKING

import msgspec

from pointsman.errors import HttpError, UpstreamError, UpstreamTimeout
from pointsman.http1.body import Chunked, Framing, Length, UntilClose
from pointsman.proxy.unknown_model import Chosen, Refusal
from pointsman.proxy.usage import Tail

if TYPE_CHECKING:
    from pointsman.http1.response_head import Head
    from pointsman.proxy.exchange import Exchange
    from pointsman.server.connection import Connection
    from pointsman.server.messages import Request
    from pointsman.upstream.connection import Channel

# vLLM's keep-alive comments go on even when its engine is dead, so they are no progress: lines that are comments, are
# empty, or are the size of a chunk, of which the last may be still on its way.
_COMMENTS = re.compile(rb"(?:(?::[^\n]*|[0-9a-f]*\r?)\n)*(?::[^\n]*|[0-9a-f]*\r?)", re.IGNORECASE)
# What an overloaded vLLM does not say: when to come again.
RETRY_AFTER = b"Retry-After: 1\r\n"


class Passage(abc.ABC):
    """Takes the answer of one channel and writes it to one client. Without a `status`, nothing was written."""

    __slots__ = (
        "_channel",
        "_chosen",
        "_connection",
        "_exchange",
        "_framing",
        "_loop",
        "_ours",
        "_paused",
        "_pending",
        "_progress",
        "_record",
        "_request",
        "_sent",
        "_started",
        "_watch",
        "status",
        "streams",
        "tail",
    )

    def __init__(self, exchange: Exchange, ours: bytes, chosen: Chosen | None) -> None:
        """`ours` are header lines of the answer that are ours; the exchange's record learns when the head came.

        Where vLLM does not know the model that we have `chosen`, `ended` gets ModelRefused.
        """
        self._exchange = exchange
        self._watch = exchange.service.watch
        self._loop = self._watch.loop
        self._request: Request = exchange.request
        self._connection: Connection = self._request.connection
        self._record = exchange.record
        self._ours = ours
        self._chosen = chosen
        self._channel: Channel | None = None
        self._framing: Framing | None = None
        self._pending = b""
        self._sent = self._progress = self._started = 0.0
        self._paused = False
        self.status = 0
        self.streams = False
        self.tail = Tail()

    def begin(self, channel: Channel, head: bytes, body: bytes) -> None:
        """Send the request."""
        self._channel = channel
        self._started = time.perf_counter()
        self._sent = self._progress = self._loop.time()
        self._watch.add(self)
        channel.request(head, body, self)

    # --- what the channel tells --------------------------------------------------------------------------------

    def head(self, head: Head) -> Framing:
        if 300 <= head.status < 400 and head.status != 304:
            raise UpstreamError(f"{self._where} redirects (status {head.status}); check its address")
        if head.status == 404 and self._chosen is not None and self._channel is not None and Refusal.may_be(head):
            refusal, self._chosen = Refusal(self, head, self._chosen), None
            self._channel.divert(refusal)
            return refusal.head(head)
        request, record = self._request, self._record
        record.phase = "stream"
        record.phases["upstream"] = time.perf_counter() - self._started
        self.status = head.status
        self.streams = head.streams
        framing, line = self._frame(head, request)
        keep = request.keep_alive = self._connection.keeps_alive(request) and (
            not request.head.old or isinstance(framing, Length)
        )
        if keep is request.head.old:
            line += b"Connection: keep-alive\r\n" if keep else b"Connection: close\r\n"
        if head.streams:
            line += b"X-Accel-Buffering: no\r\n"  # or an nginx in front would hold the stream back
        if head.status == 503 and not head.retry_after:
            line += RETRY_AFTER
        self._framing = framing
        self._pending = b"HTTP/1.1 %d %b\r\n%b%b%bServer-Timing: %b\r\n\r\n" % (
            head.status,
            head.reason,
            head.block,
            line,
            self._ours,
            record.server_timing().encode(),
        )
        return framing

    def _frame(self, head: Head, request: Request) -> tuple[Framing, bytes]:
        if head.bodiless:
            return Length(0), b""
        if head.length is not None:
            return Length(head.length), b""
        line = b"" if request.head.old else b"Transfer-Encoding: chunked\r\n"
        if head.chunked:
            return Chunked(verbatim=not request.head.old), line
        return UntilClose(chunked=not request.head.old), line

    def data(self, data: bytes) -> None:
        if self._pending:
            connection = self._connection
            connection.write(self._pending + data)
            self._pending = b""
            self._progress = self._loop.time()
            self._record.first_byte = time.perf_counter() - self._record.started
            if self._framing is not None and not self._framing.done:
                connection.flow = self
                if connection.choked:
                    self.pause()
        elif data:
            self._connection.write(data)
            if not self.streams:
                self._progress = self._loop.time()
            elif b"data:" in data or not _COMMENTS.fullmatch(self.tail.unfinished() + data):
                now = self._loop.time()
                self._watch.gap(now - self._progress)
                self._progress = now
        self.tail.feed(data)

    def end(self) -> None:
        self._finish(None)

    def fail(self, error: UpstreamError) -> None:
        if self.status:
            self._break_off(error)
        self._finish(error)

    def _finish(self, error: UpstreamError | None) -> None:
        self._watch.discard(self)
        self._connection.flow = None
        self._channel = None
        self.ended(error)

    @abc.abstractmethod
    def ended(self, error: UpstreamError | None) -> None:
        """The answer is whole, or for this reason never will be."""

    # --- the client's side -------------------------------------------------------------------------------------

    def pause(self) -> None:
        """The client is slow."""
        self._paused = True
        if self._channel is not None:
            self._channel.pause()

    def resume(self) -> None:
        """It has caught up. The time that it took to read is not vLLM's."""
        self._paused = False
        self._progress = self._loop.time()
        if self._channel is not None:
            self._channel.resume()

    def give_up(self, error: HttpError | None = None) -> None:
        """Close the request to vLLM; `error` tells a client that is still there why its answer ends."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.abort()
        if error is not None and self.status:
            self._break_off(error)
        self._watch.discard(self)
        self._connection.flow = None

    def _break_off(self, error: HttpError) -> None:
        """What is on its way cannot be mended, but a client must be able to tell that it is not whole."""
        self._request.keep_alive = False
        text = b"\n\ndata: " + msgspec.json.encode(error.body()) + b"\n\n" if self.streams else b""
        framing = self._framing
        if self._pending:
            self._connection.write(self._pending)
            self._pending = b""
        if text and framing is not None:
            self._connection.write(framing.interrupted(text))
        elif self._request.head.old and not isinstance(framing, Length):
            self._connection.transport.abort()  # to a client of HTTP/1.0 a mere end of the connection is a good one

    # --- time --------------------------------------------------------------------------------------------------

    @property
    def _where(self) -> str:
        return "vLLM" if self._channel is None else self._channel.pool.where

    def check(self, now: float, first_byte: float, idle: float, total: float) -> None:
        """End the answer if it is too late; the limits are in seconds, `inf` is none."""
        if now - self._sent > total:
            what = "took too long for its answer"
        elif not self.status and now - self._sent > first_byte:
            what = "did not answer in time"
        elif self.status and not self._paused and now - self._progress > idle:
            what = "fell silent in the middle of its answer"
        else:
            return
        error = UpstreamTimeout(f"{self._where} {what}")
        if self._channel is not None:
            self._channel.abort()
        self.fail(error)
