"""Read the id of a response that vLLM stores from the first bytes of its answer."""

from __future__ import annotations

import re
from collections.abc import Callable

from pointsman.errors import UpstreamError
from pointsman.http1.body import Framing
from pointsman.http1.response_head import ResponseHead
from pointsman.upstream.connection import Receiver, UpstreamConnection

# The id is vLLM's first field, in the answer and in the response of a stream's first event: nothing that a client or a
# model wrote precedes it.
LOOK_BYTES = 1024
_ID = re.compile(rb'(?:event: ?response\.created\r?\ndata: ?\{\s*"response":)?\s*\{\s*"id":\s*"([A-Za-z0-9_-]{1,128})"')
# Chunks are passed on with their framing.
_FRAMING = re.compile(rb"(?:\A|\r\n)[0-9A-Fa-f]+\r\n")


class ResponseIdReader:
    """A receiver that passes an answer on to `receiver`, and calls `found` with its id before the client knows it."""

    def __init__(self, receiver: Receiver, connection: UpstreamConnection, found: Callable[[str], None]) -> None:
        self._receiver = receiver
        self._connection = connection
        self._found = found
        self._start = b""

    def head(self, head: ResponseHead) -> Framing:
        return self._receiver.head(head)

    def data(self, data: bytes) -> None:
        self._start += data[:LOOK_BYTES]
        match = _ID.match(_FRAMING.sub(b"", self._start))
        if match is not None:
            self._found(match[1].decode())
        if match is not None or len(self._start) >= LOOK_BYTES:
            self._connection.divert(self._receiver)  # later bytes do not matter here
        self._receiver.data(data)

    def end(self) -> None:
        self._receiver.end()

    def fail(self, error: UpstreamError) -> None:
        self._receiver.fail(error)
