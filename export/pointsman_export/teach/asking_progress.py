"""Show on stderr how far a teaching has asked: a line for each tenth, on a terminal one line that changes."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pointsman_export.teach.served_model import TokenCount
    from pointsman_export.teach.teacher import Lessons


class AskingProgress:
    """The progress of the asking; `tokens` are counted by who asks."""

    def __init__(self) -> None:
        self.tokens: TokenCount | None = None
        self._start = time.monotonic()
        self._tenth = -1

    def rows(self, done: int, wanted: int) -> None:
        """Show the number of rows so far, and of those wanted."""
        tenth = 10 * done // max(1, wanted)
        is_terminal = sys.stderr.isatty()
        if not is_terminal and tenth == self._tenth:
            return
        self._tenth = tenth
        seconds = time.monotonic() - self._start
        left = f", about {seconds * (wanted - done) / done / 60:.0f} min left" if 0 < done < wanted else ""
        line = f"{done:,} of {wanted:,} rows{left}"
        print(f"\r{line:<60}" if is_terminal else line, end="" if is_terminal else "\n", file=sys.stderr, flush=True)

    def end(self, found: Lessons) -> None:
        """Show what was dropped, what it cost, and why it ended early, if it did."""
        if sys.stderr.isatty():
            print(file=sys.stderr)
        for why, count in found.dropped.most_common():
            if count:
                print(f"  {count:,} dropped: {why}", file=sys.stderr)
        if self.tokens is not None:
            print(f"  {self.tokens.read:,} tokens read, {self.tokens.written:,} written", file=sys.stderr)
        if found.trouble is not None:
            print(f"pointsman teach: ended early: {found.trouble}", file=sys.stderr)
