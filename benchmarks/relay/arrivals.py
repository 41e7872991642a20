"""Track the chunks of one stream at its client: their delays, and whether all arrived; no I/O."""

from __future__ import annotations

from relay import exchange


class ChunkArrivals:
    """The chunks of one stream; `delays`, shared by all streams, gets nanoseconds from sending to reading.

    `first` is the time of the first chunk, 0 before it. `ended` is set by the last byte of the response.
    """

    __slots__ = ("_rest", "chunks", "delays", "ended", "first")

    def __init__(self, delays: list[int]) -> None:
        self._rest = b""
        self.delays = delays
        self.chunks = self.first = 0
        self.ended = False

    def feed(self, data: bytes, now: int) -> None:
        """Take bytes that were read at `now`, split anywhere."""
        data = self._rest + data
        found = exchange.SENT.findall(data)
        if found:
            self.first = self.first or now
            self.chunks += len(found)
            for sent in found:
                self.delays.append(now - int(sent))
            data = data[data.rindex(found[-1]) + len(found[-1]) :]
        self._rest = data[-exchange.SENT_BYTES :]
        self.ended = data.endswith(exchange.LAST_CHUNK)
