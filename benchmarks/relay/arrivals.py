"""What a client sees of one stream: when each chunk came, and whether all of them did. Pure."""

from __future__ import annotations

from relay import exchange


class Arrivals:
    """`delays`, shared by all streams, gets the nanoseconds from each chunk's sending to its reading.

    `first` is when the first one was read, 0 before. `ended`: the answer's last byte has come.
    """

    __slots__ = ("_rest", "chunks", "delays", "ended", "first")

    def __init__(self, delays: list[int]) -> None:
        self._rest = b""
        self.delays = delays
        self.chunks = self.first = 0
        self.ended = False

    def feed(self, data: bytes, now: int) -> None:
        """Bytes as they were read, at `now`, wherever they were cut."""
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
