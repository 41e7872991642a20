"""Long request bodies: each in memory of its own, which returns to the kernel with it, and edited without a copy.

In the heap, the remains of long bodies stay resident, and joining the parts of 32 MiB takes up to 20 ms at once.
Writing 16 MiB takes 1 ms in huge pages; in small ones a page fault each makes it 10 ms, spread over the reads.
"""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Sequence

LONG_BYTES = 1024 * 1024
"""A longer body has memory of its own."""

Received = bytes | mmap.mmap
"""A body as the client sent it."""
Piece = bytes | memoryview


class LongBody:
    """A long body as it arrives."""

    __slots__ = ("_memory", "_size")

    def __init__(self, parts: Sequence[bytes], expected: int) -> None:
        """Take the `parts` that have arrived; `expected` is the length of the body, 0 if unknown."""
        self._size = 0
        self._memory = mmap.mmap(-1, expected or 2 * LONG_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError):  # a kernel without huge pages
            self._memory.madvise(mmap.MADV_HUGEPAGE)
        for part in parts:
            self.add(part)

    def add(self, data: bytes) -> None:
        """Take more of the body."""
        end = self._size + len(data)
        if end > len(self._memory):
            self._memory.resize(2 * end)
        self._memory[self._size : end] = data
        self._size = end

    def whole(self) -> mmap.mmap:
        """Return the body; nothing can be added then."""
        if len(self._memory) != self._size:
            self._memory.resize(self._size)
        return self._memory


class EditedLongBody:
    """A long body after edits, in pieces: most are views of the received body."""

    __slots__ = ("_size", "pieces")

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = pieces
        self._size = sum(map(len, pieces))

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces)


Body = Received | EditedLongBody
"""A body as it is sent to vLLM."""


def pieces_of(body: Body) -> list[memoryview]:
    """Return views of a body, which together are all of it."""
    return [memoryview(piece) for piece in (body.pieces if isinstance(body, EditedLongBody) else (body,))]
