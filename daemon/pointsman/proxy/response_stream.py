"""Forward one response from vLLM to the client while it arrives."""

from __future__ import annotations

import abc
import re
import time

from pointsman.errors import HttpError, UpstreamError, UpstreamTimeout
from pointsman.formats import by_path, error_form_of
from pointsman.http1.body import ChunkedFraming, CloseFraming, Framing, LengthFraming
from pointsman.http1.response_head import ResponseHead
from pointsman.long_body import Body
from pointsman.observability.record import Record
from pointsman.proxy.declined import BufferedErrorReceiver, UpstreamDeclined
from pointsman.proxy.timeouts import Timeouts
from pointsman.proxy.usage import ResponseTail
from pointsman.server.request import Request
from pointsman.upstream.connection import UpstreamConnection

# vLLM sends keep-alive comments even when its engine is dead, so comments do not count as progress. The pattern matches
# lines that are comments, empty, or a chunk's size; the last line may be incomplete. Nothing is tried twice.
_COMMENTS = re.compile(rb"(?:(?::[^\n]*+|[0-9a-f]*+\r?+)\n)*+(?::[^\n]*+|[0-9a-f]*+\r?+)", re.IGNORECASE)
# With this many responses in progress, complete ones that come in one turn of the event loop are written together at
# its end. With fewer, the end of the turn costs more than it saves.
MANY = 4
# An overloaded vLLM sends no Retry-After of its own.
RETRY_AFTER = b"Retry-After: 1\r\n"


class ResponseStream(abc.ABC):
    """A receiver of one response, written to one client; `status` is 0 until the response head arrived."""

    __slots__ = (
        "_framing",
        "_holds",
        "_lines",
        "_loop",
        "_model",
        "_paused",
        "_pending",
        "_progress",
        "_record",
        "_request",
        "_sent",
        "_started",
        "_timeouts",
        "_upstream",
        "_writer",
        "status",
        "streams",
        "tail",
    )

    # Set by `begin`, and by `head`.
    _holds: bool
    _sent: float
    _progress: float
    _started: float
    _pending: bytes
    streams: bool

    def __init__(self, request: Request, record: Record, timeouts: Timeouts, lines: bytes, model: str) -> None:
        """Take the header `lines` to add to the response.

        If vLLM declines the request, as one for a `model` that it does not know, and it `goes_elsewhere`, `on_end` gets
        Declined. A 404 is not read if `model` is empty.
        """
        self._request = request
        self._writer = request.writer
        self._record = record
        self._timeouts = timeouts
        self._loop = timeouts.loop
        self._lines = lines
        self._model = model
        self._upstream: UpstreamConnection | None = None
        self._framing: Framing | None = None
        self._paused = False
        self.status = 0
        self.tail = ResponseTail()

    def begin(self, upstream: UpstreamConnection, head: bytes, body: Body) -> None:
        """Send the request to vLLM, and start the timeouts."""
        self._upstream = upstream
        self._holds = True
        self._started = time.perf_counter()
        self._sent = self._progress = self._loop.time()
        self._timeouts.add(self)
        upstream.request(head, body, self)

    # --- called by the upstream connection ---------------------------------------------------------------------

    def head(self, head: ResponseHead) -> Framing:
        if 300 <= head.status < 400 and head.status != 304:
            raise UpstreamError(f"{self._where} redirects (status {head.status}); check its address")
        if (
            head.status >= 400
            and self._holds
            and self._upstream is not None
            and BufferedErrorReceiver.applies(head, self._model)
        ):
            self._holds = False
            buffered = BufferedErrorReceiver(self, head, self._model)
            self._upstream.divert(buffered)
            return buffered.head(head)
        request, record = self._request, self._record
        record.phase = "stream"
        record.phases["upstream"] = time.perf_counter() - self._started
        self.status = head.status
        self.streams = record.streamed = head.streams
        framing, line = self._frame(head, request)
        keep = request.keep_alive = self._writer.keeps_alive(request) and (
            not request.head.http_1_0 or isinstance(framing, LengthFraming)
        )
        if keep is request.head.http_1_0:
            line += b"Connection: keep-alive\r\n" if keep else b"Connection: close\r\n"
        if self.streams:
            line += b"X-Accel-Buffering: no\r\n"  # keeps nginx from buffering the stream
        if head.status == 503 and not head.retry_after:
            line += RETRY_AFTER
        self._framing = framing
        self.answering()
        self._pending = self._answer_head(head, line)
        return framing

    def _answer_head(self, head: ResponseHead, line: bytes) -> bytes:
        return b"HTTP/1.1 %d %b\r\n%b%b%bServer-Timing: %b\r\n\r\n" % (
            head.status,
            head.reason,
            head.block,
            line,
            self._lines,
            self._record.server_timing().encode(),
        )

    def _frame(self, head: ResponseHead, request: Request) -> tuple[Framing, bytes]:
        if head.bodiless:
            return LengthFraming(0), b""
        if head.length is not None:
            return LengthFraming(head.length), b""
        line = b"" if request.head.http_1_0 else b"Transfer-Encoding: chunked\r\n"
        if head.chunked:
            return ChunkedFraming(verbatim=not request.head.http_1_0), line
        return CloseFraming(chunked=not request.head.http_1_0), line

    def data(self, data: bytes) -> None:
        if self._pending:
            writer, framing, timeouts = self._writer, self._framing, self._timeouts
            whole = framing is not None and framing.done
            (writer.write_soon if whole and len(timeouts.all) >= MANY else writer.write)(self._pending + data)
            self._pending = b""
            self._progress = self._loop.time()
            # vLLM sends the head of a stream before it has begun to generate.
            if data and not (self.streams and _COMMENTS.fullmatch(data)):
                self._answers(data)
            writer.flow = self
            if writer.choked:
                self.pause()
        elif data:
            self._writer.write(data)
            if not self.streams:
                self._progress = self._loop.time()
                if self._record.answered is None:
                    self._answers(data)
            elif data.find(b"data:") >= 0 or not _COMMENTS.fullmatch(self.tail.unfinished() + data):
                now = self._loop.time()
                if self._record.answered is None:
                    self._answers(data)
                else:
                    self._timeouts.gap(now - self._progress)
                self._progress = now
        self.tail.feed(data)

    def _answers(self, data: bytes) -> None:
        """Record the time of the first byte of the answer, unless these data precede the answer."""
        now, record = time.perf_counter(), self._record
        generated = by_path(record.path).generated
        if self.streams and generated is not None and not generated.search(data):
            return
        record.first_byte, record.answered = now - record.started, now - self._started

    def end(self) -> None:
        self._finish(None)

    def fail(self, error: UpstreamError) -> None:
        if self.status:
            self._break_off(error)
        self._finish(error)

    def _finish(self, error: UpstreamError | None) -> None:
        self._timeouts.discard(self)
        self._writer.flow = None
        self._upstream = None
        self.on_end(error)

    @abc.abstractmethod
    def answering(self) -> None:
        """Release what would be needed to send the request again: the response has begun."""

    @abc.abstractmethod
    def goes_elsewhere(self, declined: UpstreamDeclined) -> bool:
        """Take vLLM's refusal; return whether another endpoint or model can answer."""

    @abc.abstractmethod
    def on_end(self, error: UpstreamError | None) -> None:
        """Handle the end of the response; `error` is None if the response is complete."""

    # --- the client's side -------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Stop reading from vLLM while the client is slow."""
        self._paused = True
        if self._upstream is not None:
            self._upstream.pause()

    def resume(self) -> None:
        """Resume reading from vLLM; the client's delay does not count towards the idle timeout."""
        self._paused = False
        self._progress = self._loop.time()
        if self._upstream is not None:
            self._upstream.resume()

    def stalled(self) -> None:
        """Record that the client is cut off because it does not read."""
        self._record.phase = "send"

    def waited(self) -> None:
        """Record the wait of a client that leaves before any byte of the answer came."""
        record = self._record
        if record.answered is None and self.status < 400:
            record.waited = time.perf_counter() - self._started

    def give_up(self, error: HttpError | None = None) -> None:
        """Abort the request to vLLM; `error` is sent to a client that has received part of the response."""
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()
        if error is not None and self.status:
            self._break_off(error)
        self._timeouts.discard(self)
        self._writer.flow = None

    def _break_off(self, error: HttpError) -> None:
        """Mark an incomplete response so that the client can tell."""
        self._request.keep_alive = False
        text = error_form_of(self._record.path).event(error, self.tail.content()) if self.streams else b""
        framing = self._framing
        if self._pending:
            self._writer.write(self._pending)
        if text and framing is not None:
            self._writer.write(framing.interrupted(text))
        elif self._request.head.http_1_0 and not isinstance(framing, LengthFraming):
            self._writer.abort()  # an HTTP/1.0 client takes a regular close for the end of the body

    # --- time --------------------------------------------------------------------------------------------------

    @property
    def _where(self) -> str:
        return "vLLM" if self._upstream is None else self._upstream.where

    def check(self, now: float, first_byte: float, idle: float, total: float) -> None:
        """Abort the response if a timeout has passed; limits are in seconds, `inf` means no limit."""
        if now - self._sent > total:
            what = "did not finish its response in time"
        elif not self.status and now - self._sent > first_byte:
            what = "did not answer in time"
        elif self.status and not self._paused and now - self._progress > idle:
            what = "stopped sending in the middle of its response"
        else:
            return
        error = UpstreamTimeout(f"{self._where} {what}")
        if self._upstream is not None:
            self._upstream.abort()
        self.fail(error)
