"""The connections to vLLM: send a request, get the head, read the body as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from pointsman.config.model import Endpoint, RelayOptions
from pointsman.errors import CannotStart, UpstreamBroken, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from pointsman.relay.headers import Pairs

# vLLM closes a connection that was idle for 5 s; a request sent at that moment would be lost.
IDLE_CONNECTION_SECONDS = 3.0
# A larger body is written in pieces: in one write it would hold the event loop.
LARGE_BODY_BYTES = 2**20
_AUTOMATIC = frozenset({"Accept", "Accept-Encoding", "Content-Type", "User-Agent"})


class Answer:
    """An answer whose head has come. `seconds` is the time from the request to the head."""

    def __init__(self, response: aiohttp.ClientResponse, idle: float | None, seconds: float) -> None:
        self._response = response
        self._idle = idle
        self.seconds = seconds
        self.status = response.status
        self.reason = response.reason
        self.headers: Pairs = list(response.headers.items())

    @property
    def streams(self) -> bool:
        """Whether it is a stream of server-sent events."""
        return self._response.content_type == "text/event-stream"

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The body as it arrives. Raises UpstreamError after `idle` seconds without progress, or when it breaks."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._idle) as timer:
                while chunk := await self._response.content.readany():
                    deadline = timer.when()
                    if self._idle is None or deadline is None:
                        yield chunk
                        continue
                    left = deadline - loop.time() if _only_comments(chunk) else self._idle
                    timer.reschedule(None)  # the time that the client takes to read is not vLLM's
                    yield chunk
                    timer.reschedule(loop.time() + left)
        except TimeoutError:
            raise UpstreamTimeout("vLLM fell silent, or took too long, in the middle of its answer") from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamBroken(f"vLLM broke off the answer ({error or type(error).__name__})") from error


class Upstream:
    """One pool of connections for each endpoint. Open it as an async context manager."""

    def __init__(self, endpoints: tuple[Endpoint, ...], options: RelayOptions) -> None:
        """Reads the API key; raises CannotStart."""
        self._options = options
        self._endpoints = endpoints
        self._first_byte = options.first_byte_timeout_ms / 1000 or None
        self._idle = options.idle_timeout_ms / 1000 or None
        self._timeout = aiohttp.ClientTimeout(
            total=options.total_timeout_ms / 1000 or None, sock_connect=options.connect_timeout_ms / 1000
        )
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self.api_key = _read_key(options.api_key_file)

    async def __aenter__(self) -> Upstream:
        self._sessions = {endpoint.name: self._session(endpoint) for endpoint in self._endpoints}
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in self._sessions.values():
            await session.close()

    def _session(self, endpoint: Endpoint) -> aiohttp.ClientSession:
        connector: aiohttp.BaseConnector
        if endpoint.socket_path is not None:
            connector = aiohttp.UnixConnector(endpoint.socket_path, limit=0, keepalive_timeout=IDLE_CONNECTION_SECONDS)
        else:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_CONNECTION_SECONDS)
        return aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            auto_decompress=False,
            skip_auto_headers=_AUTOMATIC,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    @contextlib.asynccontextmanager
    async def send(
        self, endpoint: Endpoint, method: str, target: str, headers: Pairs, body: bytes | None
    ) -> AsyncIterator[Answer]:
        """Send and wait for the head; `target` is path and query. Leaving the block early closes the connection.

        Raises UpstreamUnreachable, UpstreamTimeout or UpstreamBroken, each naming the endpoint.
        """
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._first_byte):
                response = await self._sessions[endpoint.name].request(
                    method,
                    URL(endpoint.base_url + target, encoded=True),
                    headers=CIMultiDict(headers),
                    data=io.BytesIO(body) if body and len(body) > LARGE_BODY_BYTES else body,
                    allow_redirects=False,
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _blame(endpoint, error) from error
        try:
            if 300 <= response.status < 400:
                raise UpstreamError(f"endpoint {endpoint.name} redirects (status {response.status}); check its address")
            yield Answer(response, self._idle, time.perf_counter() - started)
        finally:
            # Closes the connection unless the whole body was read, and that is what makes vLLM stop generating.
            response.release()

    async def models(self, endpoint: Endpoint) -> bytes:
        """The body of the endpoint's `/v1/models`; raises UpstreamError."""
        headers = [] if self.api_key is None else [("Authorization", f"Bearer {self.api_key}")]
        try:
            async with asyncio.timeout(5), self.send(endpoint, "GET", "/v1/models", headers, None) as answer:
                body = b"".join([chunk async for chunk in answer.chunks()])
        except TimeoutError:
            raise UpstreamTimeout(f"endpoint {endpoint.name} does not answer `/v1/models`") from None
        if answer.status == 401:
            raise UpstreamError(f"endpoint {endpoint.name} wants a key: set pointsman.relay.api_key_file")
        if answer.status != 200:
            raise UpstreamError(f"endpoint {endpoint.name} answers `/v1/models` with status {answer.status}")
        return body


def _only_comments(chunk: bytes) -> bool:
    """vLLM's keep-alive comments go on even when its engine is dead, so they are no progress."""
    return chunk.startswith(b":") and all(line[:1] in {b":", b""} for line in chunk.split(b"\n"))


def _blame(endpoint: Endpoint, error: Exception) -> UpstreamError:
    where = f"endpoint {endpoint.name} ({endpoint.socket_path or endpoint.base_url})"
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return UpstreamUnreachable(f"no connection to {where}; is vLLM running there?")
    if isinstance(error, TimeoutError):
        return UpstreamTimeout(f"no answer from {where} in time")
    return UpstreamBroken(f"{where} broke the connection before it answered")


def _read_key(file: str | None) -> str | None:
    if file is None:
        return None
    try:
        key = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart(
            f"pointsman.relay.api_key_file: {file} cannot be read ({error}); check path and permissions"
        ) from error
    if not key or not key.isascii() or not key.isprintable():
        raise CannotStart(f"pointsman.relay.api_key_file: {file} holds no key; write the key on one line")
    return key
