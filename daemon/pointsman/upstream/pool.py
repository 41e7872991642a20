"""The connections to one vLLM endpoint: opened as needed, kept while idle for the next request."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import ssl
from collections import deque
from urllib.parse import urlsplit

from pointsman.config.model import Endpoint
from pointsman.errors import OutOfFileDescriptors, UpstreamUnreachable
from pointsman.upstream.connection import UpstreamConnection

# vLLM closes a connection that was idle for 5 s; a request sent at that moment would be lost.
IDLE_CONNECTION_SECONDS = 3.0

# With fewer connections in use, the end of a turn of the event loop costs more than it saves.
MANY = 4


class ConnectionPool:
    """The connections to one endpoint."""

    def __init__(self, endpoint: Endpoint, connect_timeout: float) -> None:
        """Take `connect_timeout` in seconds."""
        address = urlsplit(endpoint.base_url)
        self.endpoint = endpoint
        self.where = f"endpoint {endpoint.name}"
        self.prefix = address.path.encode()
        self.host_line = b"Host: %b\r\n" % address.netloc.encode("idna" if not address.netloc.isascii() else "ascii")
        self._tls = ssl.create_default_context() if address.scheme == "https" else None
        self._host, self._port = address.hostname or "", address.port or (443 if self._tls else 80)
        self.connect_timeout = connect_timeout
        self._idle: deque[UpstreamConnection] = deque()
        self._open: set[UpstreamConnection] = set()
        self._unsent: list[UpstreamConnection] = []
        self._sweep: asyncio.TimerHandle | None = None

    @functools.cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """The event loop: looking it up is a system call before Python 3.12, so it is done once."""
        return asyncio.get_running_loop()

    def take(self) -> UpstreamConnection | None:
        """Return the connection used last, if it has been idle for less than IDLE_CONNECTION_SECONDS."""
        oldest = self._loop.time() - IDLE_CONNECTION_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since < oldest:
                connection.abort()
            elif connection.usable:
                connection.reused = True
                return connection
        return None

    async def connect(self, *, reusable: bool = True) -> UpstreamConnection:
        """Open a connection, `reusable` after its answer or not; raises UpstreamUnreachable or OutOfFileDescriptors."""
        loop = self._loop
        make = functools.partial(UpstreamConnection, self, reusable=reusable)
        try:
            async with asyncio.timeout(self.connect_timeout):
                if self.endpoint.socket_path is not None:
                    _, connection = await loop.create_unix_connection(make, self.endpoint.socket_path)
                else:
                    _, connection = await loop.create_connection(make, self._host, self._port, ssl=self._tls)
        except (OSError, TimeoutError) as error:
            if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
                raise OutOfFileDescriptors(
                    "no file descriptor is left for a connection to vLLM; raise LimitNOFILE"
                ) from error
            why = "it did not answer in time" if isinstance(error, TimeoutError) else str(error)
            address = self.endpoint.socket_path or self.endpoint.base_url
            raise UpstreamUnreachable(
                f"no connection to {self.where}; is vLLM running there?", f"{address}: {why}"
            ) from error
        return connection

    def opened(self, connection: UpstreamConnection) -> None:
        self._open.add(connection)

    def send_soon(self, connection: UpstreamConnection) -> None:
        """Have a connection send its request: at once, or if MANY are in use, at the end of this turn of the loop.

        Written one by one between answers to clients, each request would wake vLLM from its sleep in epoll.
        """
        if len(self._open) - len(self._idle) < MANY:
            connection.send()
            return
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(connection)

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        for connection in unsent:
            connection.send()

    def put(self, connection: UpstreamConnection) -> None:
        """Keep a connection for the next request."""
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(IDLE_CONNECTION_SECONDS, self._close_idle)

    def forget(self, connection: UpstreamConnection) -> None:
        self._open.discard(connection)
        if connection.idle_since:
            with contextlib.suppress(ValueError):
                self._idle.remove(connection)

    def _close_idle(self) -> None:
        loop = self._loop
        while self._idle and self._idle[0].idle_since + IDLE_CONNECTION_SECONDS <= loop.time():
            self._idle.popleft().abort()
        self._sweep = None
        if self._idle:
            self._sweep = loop.call_at(self._idle[0].idle_since + IDLE_CONNECTION_SECONDS, self._close_idle)

    def close(self) -> None:
        """Close every connection; answers in progress are lost."""
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._open):
            connection.abort()
        self._idle.clear()
