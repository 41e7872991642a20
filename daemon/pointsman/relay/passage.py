"""One answer on its way from vLLM to the client: written as it comes, watched by one timer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from pointsman.errors import HttpError, UpstreamError, UpstreamTimeout
from pointsman.relay.framing import Chunked, Framing, Length, UntilClose
from pointsman.relay.usage import Tail

if TYPE_CHECKING:
    from pointsman.http.connection import Connection
    from pointsman.http.message import Request
    from pointsman.relay.channel import Channel
    from pointsman.relay.head import Head

# vLLM's keep-alive comments go on even when its engine is dead, so they are no progress.
_COMMENTS = re.compile(rb"(?:[0-9a-f]+\r\n)?(?::[^\n]*\n|\r?\n)+(?:\r\n)?", re.IGNORECASE)


Tell = Callable[["Passage", "Head"], bytes]
"""The header lines of an answer that are ours, each with its line end."""


class Timeouts:
    """Seconds; None is no limit. `first_byte` and `total` count from the request, `idle` from the last progress."""

    __slots__ = ("first_byte", "idle", "total")

    def __init__(self, first_byte_ms: int, idle_ms: int, total_ms: int) -> None:
        """0 is no limit."""
        self.first_byte = first_byte_ms / 1000 or None
        self.idle = idle_ms / 1000 or None
        self.total = total_ms / 1000 or None


class Passage:
    """Takes the answer of one channel and writes it to one client.

    `done` gets None when the answer is whole, else the error; with an error and no `status`, nothing was written.
    """

    __slots__ = (
        "_channel",
        "_connection",
        "_framing",
        "_loop",
        "_mute",
        "_pending",
        "_progress",
        "_request",
        "_sent",
        "_tell",
        "_timeouts",
        "_timer",
        "_where",
        "done",
        "seconds",
        "status",
        "streams",
        "tail",
    )

    def __init__(self, request: Request, tell: Tell, timeouts: Timeouts) -> None:
        """`tell` composes the lines that are ours once the head has come."""
        connection = request.connection
        self._loop = loop = asyncio.get_running_loop()
        self._request = request
        self._connection: Connection = connection
        self._tell = tell
        self._timeouts = timeouts
        self._channel: Channel | None = None
        self._framing: Framing | None = None
        self._pending = b""
        self._timer: asyncio.TimerHandle | None = None
        self._sent = self._progress = 0.0
        self._mute = False
        self.done: asyncio.Future[UpstreamError | None] = loop.create_future()
        self.status = 0
        self.seconds: float | None = None
        self.streams = False
        self.tail = Tail()

    def begin(self, channel: Channel, head: bytes, body: bytes) -> None:
        """Send the request."""
        self._channel = channel
        self._sent = self._progress = self._loop.time()
        channel.request(head, body, self)
        self._arm()

    # --- what the channel tells --------------------------------------------------------------------------------

    def head(self, head: Head) -> Framing:
        self.seconds = self._loop.time() - self._sent
        if 300 <= head.status < 400 and head.status != 304:
            where = self._channel.pool.where if self._channel is not None else "vLLM"
            raise UpstreamError(f"{where} redirects (status {head.status}); check its address")
        request = self._request
        self.status = head.status
        self.streams = head.streams
        framing, line = self._frame(head, request)
        keep = request.keep_alive = self._connection.keeps_alive(request) and not (
            request.old and not isinstance(framing, Length)
        )
        if keep is request.old:
            line += b"Connection: keep-alive\r\n" if keep else b"Connection: close\r\n"
        self._framing = framing
        self._pending = b"".join(
            (
                b"HTTP/1.1 %d %b\r\n" % (head.status, head.reason),
                *head.lines,
                line,
                self._tell(self, head),
                b"\r\n",
            )
        )
        return framing

    def _frame(self, head: Head, request: Request) -> tuple[Framing, bytes]:
        if head.bodiless:
            return Length(0), b""
        if head.length is not None:
            return Length(head.length), b""
        chunked = b"" if request.old else b"Transfer-Encoding: chunked\r\n"
        if head.chunked:
            return Chunked(verbatim=not request.old), chunked
        return UntilClose(chunked=not request.old), chunked

    def data(self, data: bytes) -> None:
        if self._pending:
            connection = self._connection
            connection.write(self._pending + data)
            self._pending = b""
            self._progress = self._loop.time()
            if self._framing is not None and not self._framing.done:
                self._goes_on()
        elif data:
            self._connection.write(data)
            if not self.streams or b"data:" in data or not _COMMENTS.fullmatch(data):
                self._progress = self._loop.time()
        self.tail.feed(data)

    def _goes_on(self) -> None:
        """The head is written, the body is not whole yet."""
        connection = self._connection
        connection.flow = self
        if connection.choked:
            self.pause()
        self._arm()

    def end(self) -> None:
        self._finish(None)

    def fail(self, error: UpstreamError) -> None:
        if self.status:
            self._break_off(error)
        self._finish(error)

    def _finish(self, error: UpstreamError | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._connection.flow = None
        self._channel = None
        if not self.done.done():
            self.done.set_result(error)

    # --- the client's side -------------------------------------------------------------------------------------

    def pause(self) -> None:
        """The client is slow."""
        self._mute = True
        if self._channel is not None:
            self._channel.pause()

    def resume(self) -> None:
        """It has caught up. The time that it took to read is not vLLM's."""
        self._mute = False
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
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
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
        elif self._request.old and not isinstance(framing, Length):
            self._connection.transport.abort()  # to a client of HTTP/1.0 a mere end of the connection is a good one

    # --- time --------------------------------------------------------------------------------------------------

    def _due(self) -> tuple[float, str]:
        timeouts = self._timeouts
        due, what = float("inf"), ""
        if not self.status:
            if timeouts.first_byte is not None:
                due, what = self._sent + timeouts.first_byte, "did not answer in time"
        elif timeouts.idle is not None:
            since = self._loop.time() if self._mute else self._progress
            due, what = since + timeouts.idle, "fell silent in the middle of its answer"
        if timeouts.total is not None and self._sent + timeouts.total < due:
            due, what = self._sent + timeouts.total, "took too long for its answer"
        return due, what

    def _arm(self) -> None:
        due, _ = self._due()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due != float("inf"):
            self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        """Progress does not touch the timer; it is set anew when it rings."""
        self._timer = None
        due, what = self._due()
        if self._loop.time() < due:
            self._arm()
            return
        channel, self._channel = self._channel, None
        where = "vLLM" if channel is None else channel.pool.where
        if channel is not None:
            channel.abort()
        self.fail(UpstreamTimeout(f"{where} {what}"))
