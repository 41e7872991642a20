"""Write a long request without keeping the event loop from its other work."""

from __future__ import annotations

import asyncio

# A socket whose other end reads at once takes 32 MiB in one write, which lasts up to 20 ms.
PIECE_BYTES = 256 * 1024
_NOTHING = memoryview(b"")


class Upload:
    """A request that is written piece by piece: one in a turn of the event loop, while the socket takes them."""

    __slots__ = ("_head", "_left", "_transport", "choked")

    def __init__(self, transport: asyncio.Transport, head: bytes, body: bytes) -> None:
        self._transport = transport
        self._head = head
        self._left = memoryview(body)
        self.choked = False
        """The socket takes no more for now."""

    @property
    def done(self) -> bool:
        """True once the transport has all."""
        return not self._left

    def write(self) -> None:
        """Write a piece, and the others in later turns until `choked`; do nothing when all is written."""
        if not self._left or self._transport.is_closing():
            return
        head, piece = self._head, self._left[:PIECE_BYTES]
        self._head, self._left = b"", self._left[PIECE_BYTES:] or _NOTHING
        self._transport.writelines((head, piece))
        if not self.choked:
            self._soon()

    def resume(self) -> None:
        """Write on: the socket has taken what was written."""
        self.choked = False
        self._soon()

    def _soon(self) -> None:
        if self._left:
            asyncio.get_running_loop().call_soon(self.write)
