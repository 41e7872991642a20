"""Control calls to an endpoint: its model list and its health."""

from __future__ import annotations

import asyncio

from pointsman.config.secret import read_secret
from pointsman.errors import KeyRefused, OutOfFileDescriptors, UpstreamError, UpstreamTimeout
from pointsman.http1.body import ChunkedFraming, CloseFraming, Framing, LengthFraming
from pointsman.http1.response_head import ResponseHead
from pointsman.upstream.endpoint_state import EndpointState

# A list of models is shorter.
MAX_ANSWER_BYTES = 8 * 2**20
QUESTION_SECONDS = 5.0


class _ResponseCollector:
    """A receiver of a complete answer."""

    status: int

    def __init__(self) -> None:
        self.done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._parts: list[bytes] = []
        self._size = 0

    def head(self, head: ResponseHead) -> Framing:
        self.status = head.status
        if head.bodiless:
            return LengthFraming(0)
        if head.length is not None:
            return LengthFraming(head.length)
        return ChunkedFraming(verbatim=False) if head.chunked else CloseFraming(chunked=False)

    def data(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_ANSWER_BYTES:
            raise UpstreamError(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
        self._parts.append(data)

    def end(self) -> None:
        if not self.done.done():
            self.done.set_result(b"".join(self._parts))

    def fail(self, error: UpstreamError) -> None:
        if not self.done.done():
            self.done.set_exception(error)


async def ask(
    upstream: EndpointState, path: str, key_line: bytes, body: bytes | None = None, seconds: float = QUESTION_SECONDS
) -> tuple[int, bytes]:
    """Send GET, or POST JSON, on a separate connection, and return status and body; raises UpstreamError."""
    pool = upstream.pool
    method, about = b"GET", b""
    if body is not None:
        method, about = b"POST", b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    head = b"%b %b%b HTTP/1.1\r\n%b%b%b\r\n" % (method, pool.prefix, path.encode(), pool.host_line, key_line, about)
    connection = None
    try:
        async with asyncio.timeout(seconds):
            # Not kept: otherwise a request could get the connection before `abort` below.
            connection = await pool.connect(reusable=False)
            collector = _ResponseCollector()
            connection.request(head, body or b"", collector)
            answer = await collector.done
            return collector.status, answer
    except TimeoutError:
        raise UpstreamTimeout(f"endpoint {upstream.name} does not answer `{path}`") from None
    finally:
        if connection is not None:
            connection.abort()


async def models(upstream: EndpointState, key_line: bytes) -> bytes:
    """Return the body of the endpoint's `/v1/models`; raises UpstreamError."""
    status, body = await ask(upstream, "/v1/models", key_line)
    if status in {401, 403}:
        raise unauthorized(upstream, key_line)
    if status != 200:
        raise UpstreamError(f"endpoint {upstream.name} answers `/v1/models` with status {status}")
    return body


def unauthorized(upstream: EndpointState, key_line: bytes) -> KeyRefused:
    """Return the error that explains a 401 or a 403."""
    if key_line:
        return KeyRefused(
            f"endpoint {upstream.name} refuses the key in pointsman.relay.api_key_file; "
            "put the one of vLLM's --api-key there"
        )
    return KeyRefused(
        f"endpoint {upstream.name} wants the key of vLLM's --api-key; put it in a file and name that in "
        "pointsman.relay.api_key_file"
    )


async def health(upstream: EndpointState, key_line: bytes) -> str | None:
    """Return the problem of an endpoint by its `/health`, or None.

    Any answer but a server error is good: not every server of OpenAI's API has this path. Raises OutOfFileDescriptors.
    """
    try:
        status, _ = await ask(upstream, "/health", key_line)
    except OutOfFileDescriptors:
        raise
    except UpstreamError as error:
        return error.in_full
    return f"`/health` answers with status {status}" if status >= 500 else None


def read_key(file: str | None) -> bytes:
    """Return the header line with the key in `relay.api_key_file`, empty without a file; raises CannotStart."""
    if file is None:
        return b""
    return b"Authorization: Bearer %b\r\n" % read_secret(file, "pointsman.relay.api_key_file")
