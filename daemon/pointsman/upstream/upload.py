"""Write a long request without blocking the event loop."""

from __future__ import annotations

import asyncio
from collections import deque

from pointsman.long_body import Body, pieces_of

# A socket whose peer reads at once takes 32 MiB in one write, which lasts up to 20 ms.
TURN_BYTES = 256 * 1024


class Upload:
    """A request written in parts: one in each turn of the event loop, while the socket accepts them."""

    __slots__ = ("_head", "_left", "_transport", "choked")

    def __init__(self, transport: asyncio.Transport, head: bytes, body: Body) -> None:
        self._transport = transport
        self._head = head
        self._left = deque(pieces_of(body))
        self.choked = False

    @property
    def done(self) -> bool:
        """True once the transport has everything."""
        return not self._left

    def write(self) -> None:
        """Write a part, and the others in later turns until `choked`; do nothing if all is written."""
        if not self._left or self._transport.is_closing():
            return
        self._transport.writelines((self._head, *self._part()))
        self._head = b""
        if not self.choked:
            self._soon()

    def pause(self) -> None:
        """Stop writing until `resume`."""
        self.choked = True

    def resume(self) -> None:
        """Resume writing: the socket has taken the written bytes."""
        self.choked = False
        self._soon()

    def _part(self) -> list[memoryview]:
        left, part, room = self._left, list[memoryview](), TURN_BYTES
        while left and room:
            piece = left.popleft()
            if len(piece) > room:
                left.appendleft(piece[room:])
                piece = piece[:room]
            room -= len(piece)
            part.append(piece)
        return part

    def _soon(self) -> None:
        if self._left:
            asyncio.get_running_loop().call_soon(self.write)
