"""Token counts from the tail of an answer, for the log and the metrics; the answer itself is never parsed."""

from __future__ import annotations

import re

# `usage` is the last thing in an answer or in a stream's last event; this much holds it with room to spare.
TAIL_BYTES = 4096
_PROMPT = re.compile(rb'"(?:prompt|input)_tokens":\s*(\d+)')
_COMPLETION = re.compile(rb'"(?:completion|output)_tokens":\s*(\d+)')


class Tail:
    """The last TAIL_BYTES of what was fed."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, chunk: bytes) -> None:
        """Remember the end of a chunk."""
        self._tail = (self._tail + chunk)[-TAIL_BYTES:] if len(chunk) < TAIL_BYTES else chunk[-TAIL_BYTES:]

    def tokens(self) -> tuple[int, int] | None:
        """(prompt tokens, completion tokens) of the last `usage`; None where there is none."""
        start = self._tail.rfind(b'"usage"')
        usage = self._tail[start:] if start >= 0 else b""
        prompt, completion = _PROMPT.search(usage), _COMPLETION.search(usage)
        return (int(prompt[1]), int(completion[1])) if prompt and completion else None
