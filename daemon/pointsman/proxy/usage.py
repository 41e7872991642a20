"""Read token counts and errors from a response: from its last bytes, or from all bytes if tokens are limited."""

from __future__ import annotations

import re

from pointsman.formats import JsonPath
from pointsman.http1.body import ChunkedFraming
from pointsman.proxy.hidden_usage import HiddenUsage
from pointsman.proxy.key_limiter import KeyLease
from pointsman.proxy.usage_reader import UsageReader

# `usage` is the last field of a response or of a stream's last event; 4 KiB are more than enough for it.
TAIL_BYTES = 4096
# Chunked framing is forwarded verbatim, so the tail contains it.
_FRAMING = re.compile(rb"\r\n[0-9A-Fa-f]+\r\n")
# OpenAI's form, and that of the Responses API and of Anthropic.
_ERROR = re.compile(rb'(?:^|\n)(?:data: ?\{"error"|event: ?error\r?\n)')
_EVENT = b"data: {"
# No response has 10^15 tokens; a longer number would overflow the float of a Prometheus sample.
_COUNT = rb"_tokens\":\s*(\d{1,15})(?![\d.eE])"
_PROMPT = re.compile(rb'"(?:prompt|input)' + _COUNT)
_COMPLETION = re.compile(rb'"(?:completion|output)' + _COUNT)


def _tokens(text: bytes) -> tuple[int, int] | None:
    start = text.rfind(b'"usage"')
    if start < 0:
        return None
    prompt, completion = _PROMPT.search(text, start), _COMPLETION.search(text, start)
    return (int(prompt[1]), int(completion[1])) if prompt and completion else None


class ResponseTail:
    """The last TAIL_BYTES of a response body."""

    __slots__ = ("_tail",)

    produced = 0
    """The estimated tokens of the answer so far; only a `TokenCountingTail` estimates."""

    def __init__(self) -> None:
        self._tail = bytearray()
        """Up to twice the size, so that the bytes are not moved with each chunk."""

    def feed(self, chunk: bytes) -> None:
        """Append a chunk, and drop all but the last bytes."""
        tail = self._tail
        tail += chunk if len(chunk) <= TAIL_BYTES else chunk[-TAIL_BYTES:]
        if len(tail) > 2 * TAIL_BYTES:
            del tail[:-TAIL_BYTES]

    def unfinished(self) -> bytes:
        """Return the last, incomplete line."""
        return bytes(self._tail[max(self._tail.rfind(b"\n") + 1, len(self._tail) - TAIL_BYTES) :])

    def content(self) -> bytes:
        """Return the last TAIL_BYTES without the framing of chunks."""
        tail = bytes(self._tail[-TAIL_BYTES:])
        return _FRAMING.sub(b"", tail) if b"\r" in tail else tail

    def tokens(self) -> tuple[int, int] | None:
        """Return the prompt and completion tokens of the last `usage`, or None if there is none."""
        return _tokens(self.content())

    def failed(self) -> bool:
        """Return whether the stream ended with an error event, which vLLM sends when its engine dies."""
        return b"error" in self._tail and _ERROR.search(self.content()) is not None


class TokenCountingTail(ResponseTail):
    """A reader that finds the usage wherever it is, and tells `lease` the tokens in the events of a stream.

    vLLM sends an event for each token, or for a few. `hidden` has the usage that the client does not get.
    """

    __slots__ = ("_framing", "_lease", "_reader", "hidden", "produced")

    def __init__(self, usage_paths: tuple[JsonPath, ...] | None, lease: KeyLease | None, *, chunked: bool) -> None:
        """Take `usage_paths` as `UsageReader` does; `chunked`: the body comes with its framing."""
        super().__init__()
        self._reader = UsageReader(usage_paths)
        self._framing = ChunkedFraming(verbatim=False) if chunked else None
        self._lease = None if usage_paths is None else lease
        self.hidden: HiddenUsage | None = None
        # An answer that is not a stream comes when all of it is generated.
        self.produced = lease.reserved - lease.prompt if lease is not None and usage_paths is None else 0

    def tokens(self) -> tuple[int, int] | None:
        hidden = None if self.hidden is None else _tokens(self.hidden.usage)
        return self._reader.tokens() if hidden is None else hidden

    def feed(self, chunk: bytes) -> None:
        super().feed(chunk)
        data = chunk if self._framing is None else self._framing.feed(chunk)
        self._reader.feed(data)
        if self._lease is not None:
            self.produced += data.count(_EVENT)
            self._lease.produced(self.produced)
