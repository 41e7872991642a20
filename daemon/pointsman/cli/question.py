"""Ask for confirmation at a terminal before all clients notice a change."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from pointsman.errors import CommandFailed
from pointsman.routing.explain import plain


def at_a_terminal() -> bool:
    """Return whether a person can read a question and answer it."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def confirm(question: str, known: Iterable[str]) -> None:
    """Show the facts and ask; raise CommandFailed unless the answer is yes."""
    print(*map(plain, known), sep="\n", file=sys.stderr)
    print(plain(f"{question} [y/N]"), end=" ", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandFailed("nothing was changed")
