"""What the tail of an answer tells, for the log and the metrics; the answer itself is never parsed."""

from __future__ import annotations

import re

# `usage` is the last thing in an answer or in a stream's last event; this much holds it with room to spare.
TAIL_BYTES = 4096
# The framing of chunks is passed on, so it is also in the tail.
_FRAMING = re.compile(rb"\r\n[0-9A-Fa-f]+\r\n")
_ERROR = re.compile(rb'(?:^|\n)data: ?\{"error"')
# No answer has a quadrillion tokens; a longer number would overflow the float of a Prometheus sample.
_COUNT = rb"_tokens\":\s*(\d{1,15})(?![\d.eE])"
_PROMPT = re.compile(rb'"(?:prompt|input)' + _COUNT)
_COMPLETION = re.compile(rb'"(?:completion|output)' + _COUNT)


class Tail:
    """The last TAIL_BYTES of what was fed."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, chunk: bytes) -> None:
        """Remember the end of a chunk."""
        self._tail = (self._tail + chunk)[-TAIL_BYTES:] if len(chunk) < TAIL_BYTES else chunk[-TAIL_BYTES:]

    def unfinished(self) -> bytes:
        """The line that the next chunk goes on with."""
        return self._tail[self._tail.rfind(b"\n") + 1 :]

    def tokens(self) -> tuple[int, int] | None:
        """(prompt tokens, completion tokens) of the last `usage`; None where there is none."""
        tail = self._tail
        if b"\r\n" in tail:
            tail = _FRAMING.sub(b"", tail)
        start = tail.rfind(b'"usage"')
        if start < 0:
            return None
        prompt, completion = _PROMPT.search(tail, start), _COMPLETION.search(tail, start)
        return (int(prompt[1]), int(completion[1])) if prompt and completion else None

    def failed(self) -> bool:
        """Whether a stream ended with an error event, as vLLM's do when its engine dies."""
        return b'"error"' in self._tail and _ERROR.search(_FRAMING.sub(b"", self._tail)) is not None
