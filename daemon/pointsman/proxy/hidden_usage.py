"""Remove the usage from a stream whose client has not asked for it: exactly that one event, and no other byte."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from pointsman.http1.body import ChunkedFraming, chunk

# A possible usage event is buffered up to this size; it has about 300 bytes.
MAX_EVENT_BYTES = 4096
_END = re.compile(rb"\r?\n\r?\n")
_ENDS = (b"\n\n", b"\n\r\n")
_DATA = b"data: "
_USAGE = b'"usage"'


class _Event(msgspec.Struct):
    choices: list[Any]
    usage: dict[str, Any]


_DECODER = msgspec.json.Decoder(_Event)


class HiddenUsage:
    """The framing of a chunked stream, which passes on complete events in chunks of its own, without the `usage`.

    The removed event has usage and no choice; vLLM sends it before the last, `[DONE]`.
    """

    __slots__ = ("_chunked", "_inner", "_partial_event", "done", "usage")
    ends_with_connection = False

    def __init__(self, *, chunked: bool) -> None:
        """Take `chunked`: the client gets chunks, unless it speaks HTTP/1.0."""
        self._inner = ChunkedFraming(verbatim=False)
        self._chunked = chunked
        self._partial_event = b""
        self.done = False
        self.usage = b""
        """The event that was removed."""

    @property
    def surplus(self) -> bytes:
        return self._inner.surplus

    def feed(self, data: bytes) -> bytes:
        """Return the part of the data to pass on; raises MalformedBody."""
        passed = self._inner.feed(data)
        if (
            self._partial_event or _USAGE in passed or not passed.endswith(_ENDS)
        ):  # most data are complete events without usage
            passed = self._without(self._partial_event + passed)
        self.done = self._inner.done
        if self.done:
            passed, self._partial_event = passed + self._partial_event, b""
        if not self._chunked:
            return passed
        return (chunk(passed) if passed else b"") + (b"0\r\n\r\n" if self.done else b"")

    def _without(self, data: bytes) -> bytes:
        """Return the complete events without the usage; buffer what may still become one."""
        events: list[bytes] = []
        at = 0
        for end in _END.finditer(data):
            event = data[at : end.end()]
            at = end.end()
            if _is_usage(event):
                self.usage = event
            else:
                events.append(event)
        self._partial_event = data[at:]
        if len(self._partial_event) > MAX_EVENT_BYTES:
            events.append(self._partial_event)
            self._partial_event = b""
        return b"".join(events)

    def interrupted(self, text: bytes) -> bytes:
        return chunk(text) if self._chunked else text


def _is_usage(event: bytes) -> bool:
    if not event.startswith(_DATA) or _USAGE not in event:
        return False
    try:
        return not _DECODER.decode(event[len(_DATA) :]).choices
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
