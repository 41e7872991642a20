"""Read token counts and errors from the last bytes of a response, which is never parsed as a whole."""

from __future__ import annotations

import re

from pointsman.proxy.hidden_usage import HiddenUsage

# `usage` is the last field of a response or of a stream's last event; 4 KiB hold it with room to spare.
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


class Tail:
    """The last TAIL_BYTES of a response body; `events` of a stream are counted by `CountedTail` alone."""

    __slots__ = ("_tail", "events")

    def __init__(self) -> None:
        self._tail = bytearray()
        """Up to twice as much, so that it is not moved with each chunk."""
        self.events = 0

    def feed(self, chunk: bytes) -> None:
        """Append a chunk, and keep the last bytes."""
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


class CountedTail(Tail):
    """Counts the events of a stream as well: vLLM sends one for each token, or for a few.

    `hidden` is where the usage is that the client does not get.
    """

    __slots__ = ("hidden",)

    def __init__(self) -> None:
        super().__init__()
        self.hidden: HiddenUsage | None = None

    def tokens(self) -> tuple[int, int] | None:
        hidden = None if self.hidden is None else _tokens(self.hidden.usage)
        return super().tokens() if hidden is None else hidden

    def feed(self, chunk: bytes) -> None:
        self.events += chunk.count(_EVENT)
        super().feed(chunk)
