"""An event loop without sockets whose clock moves only when a test moves it, and the transports of its connections."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
Factory = Callable[[], asyncio.BaseProtocol]


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is due and stops; timers ring while `advance` moves the clock. What fails in a callback is raised."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = self  # asked where asyncio would sleep
        self._now = self._until = 1000.0
        self._faults: list[BaseException] = []
        self.set_exception_handler(self._failed)
        self.dial: Callable[[int, Factory], Any] | None = None
        """Makes a connection to a port: a coroutine that returns transport and protocol."""
        self.writes = 0

    def time(self) -> float:
        return self._now

    def do(self, act: Callable[..., T], *arguments: Any) -> T:
        """Call `act` in the loop, and run until nothing is left to do at this time."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            result = act(*arguments)
        finally:
            asyncio._set_running_loop(before)
        self.advance(0.0)
        return result

    def advance(self, seconds: float) -> None:
        """Let this many seconds pass."""
        self._until = self._now + seconds
        self.run_forever()
        if self._faults:
            raise self._faults.pop()

    def close(self) -> None:
        """Cancel what still runs, and close."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        self.advance(0.0)
        super().close()

    async def create_connection(  # type: ignore[override]  # the pool needs no more of it
        self, make: Factory, host: Any = None, port: Any = None, **_: Any
    ) -> Any:
        assert self.dial is not None
        return await self.dial(port, make)

    # --- called by asyncio ---------------------------------------------------------------------------------------

    def select(self, timeout: float | None) -> list[Any]:
        """Move the clock to the next timer, at most to where it shall stand still."""
        if timeout == 0:
            return []
        if timeout is None or self._now + timeout > self._until + 1e-9:
            self._now = self._until
            self.stop()
        else:
            self._now += timeout
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def _failed(self, _: Any, context: dict[str, Any]) -> None:
        self._faults.append(context.get("exception") or AssertionError(context["message"]))


class FakeTransport(asyncio.Transport):
    """The program's end of a connection, and by `sends`, `pauses` and so on the peer, which the test plays.

    It behaves as uvloop's does: nothing comes while the program does not read, the end is reported in a later turn, and
    a write to a connection that is being closed raises.
    """

    def __init__(self, loop: VirtualLoop, protocol: asyncio.BaseProtocol, address: str = "192.0.2.1") -> None:
        """An empty `address` is that of a Unix socket."""
        super().__init__({"peername": (address, 4000) if address else ""})
        self._loop = loop
        self._protocol: Any = protocol
        self._arrived: deque[bytes | Exception | None] = deque()
        self._choked = False
        self.written = b""
        self.last_write = 0
        """Its place among all writes of the loop."""
        self.taken = b""
        """The bytes that the peer has read."""
        self.paused = False
        """The other end does not read."""
        self.reading = True
        self.closing = self.lost = False
        self.closed = self.aborted = self.eof = False
        """The program's ways to end the connection."""

    # --- the program's end ---------------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        if self.closing or self.eof:
            raise RuntimeError("written to a connection that is closed")
        self.written += bytes(data)
        self._loop.writes += 1
        self.last_write = self._loop.writes
        if not self.paused:
            self.taken = self.written
        elif not self._choked:
            self._choked = True
            self._protocol.pause_writing()

    def writelines(self, parts: Any) -> None:
        self.write(b"".join(parts))

    def get_write_buffer_size(self) -> int:
        return len(self.written) - len(self.taken)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing = self.closed = True
            if not self.get_write_buffer_size():
                self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        self.closing = self.aborted = True
        self._loop.call_soon(self._lose, None)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True
        self._loop.call_soon(self._deliver)

    # --- the other end -------------------------------------------------------------------------------------------

    def sends(self, data: bytes) -> None:
        self._comes(data)

    def ends(self) -> None:
        """It will send nothing more."""
        self._comes(None)

    def resets(self) -> None:
        error = ConnectionResetError("reset by peer")
        if self.closing:  # unwritten bytes fail
            self._loop.do(self._lose, error)
        else:
            self._comes(error)

    def pauses(self) -> None:
        """It reads nothing more."""
        self.paused = True

    def reads_on(self) -> None:
        self.paused = False
        self._loop.do(self._flush)

    def _flush(self) -> None:
        self.taken = self.written
        if self._choked and not self.closing:
            self._choked = False
            self._protocol.resume_writing()
        if self.closing:
            self._lose(None)

    def _comes(self, what: bytes | Exception | None) -> None:
        self._arrived.append(what)
        self._loop.do(self._deliver)

    def _deliver(self) -> None:
        while self._arrived and self.reading and not self.closing:
            what = self._arrived.popleft()
            if isinstance(what, bytes):
                self._protocol.data_received(what)
            elif isinstance(what, Exception):
                self.closing = True
                self._loop.call_soon(self._lose, what)
            elif not self._protocol.eof_received():
                self.close()

    def _lose(self, error: Exception | None) -> None:
        if not self.lost:
            self.lost = True
            self._protocol.connection_lost(error)
