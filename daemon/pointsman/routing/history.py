"""Read the user's turns of a request: what was asked, and what was answered in between; pure, in steps.

Left out is what clients change from turn to turn: system prompts, retrieved material, dates, tool calls and their
results, and the model's reasoning.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from pointsman.routing.ask import Ask, AskFinder
from pointsman.routing.body import Message, Value
from pointsman.routing.prompt_text import TooManyParts, texts_of
from pointsman.routing.steps import Pace, Steps

# A history is known by its newest turns, so that a long one costs no more than this.
MOST_TURNS = 32
# Of a longer ask or answer, its length and both ends are hashed.
END_CHARS = 1024
# What is kept of an earlier ask or answer, to judge a new ask by.
EXCERPT_CHARS = 400

# Behind the newest ask, an answer or a tool's result makes a request a step of its turn, and these do not: a user's
# message without an ask is a reminder or material, or has results, which follow an answer with their calls.
_NO_STEP = ("system", "developer", "user")
_REASONING = (("<think>", "</think>"), ("<thinking>", "</thinking>"))


class Turn(NamedTuple):
    """A user's turn: `digest` is a hash of the ask and of the answers before it, `ask` the beginning of the ask."""

    digest: bytes
    ask: str


class History(NamedTuple):
    """The newest turns of a request, the newest first.

    `answer` is the beginning of the answer before the newest. `continues`: an answer follows the newest, begun or with
    calls of tools. `size` is the number of bytes of the messages.
    """

    turns: tuple[Turn, ...]
    continues: bool
    size: int
    answer: str = ""

    @property
    def before(self) -> str:
        """Return the beginning of the ask before the newest, and of its answer."""
        return f"{self.turns[1].ask}\n{self.answer}" if self.turns[1:] else self.answer

    def digests(self, back: int = 0) -> tuple[bytes, ...]:
        """Return what identifies the history up to a turn: the newest one, or the one so many turns `back`."""
        return tuple([turn.digest for turn in self.turns[back : back + MOST_TURNS]])


class _Found(NamedTuple):
    """The ask in a message: `hashed` is what is hashed of it, empty if there is none."""

    hashed: bytes
    excerpt: str


class HistoryReader:
    """Read histories with the asks that a finder finds."""

    def __init__(self, finder: AskFinder) -> None:
        self._finder = finder

    def read(self, messages: list[Message] | None, ask: Ask, asked_in: Message | None = None) -> Steps[History]:
        """Return the history of messages; `ask` is the ask of the request, found in the message `asked_in`.

        Without messages there is one turn, the ask. A message of too many parts says nothing.
        """
        if messages is None:
            found = _found(ask)
            return History((_turn(found, []),) if found.hashed else (), continues=False, size=0)
        turns: list[tuple[_Found, list[bytes]]] = []
        continues, answer = False, ""
        pace = Pace()
        for message in reversed(messages):
            asked = _NOTHING
            if message is asked_in:
                asked = _found(ask)
            elif message.role == "user":
                asked = yield from self._asked(message.content)
            if asked.hashed:
                if len(turns) > MOST_TURNS:
                    break
                turns.append((asked, []))
            elif not turns:
                continues = continues or message.role not in _NO_STEP
            elif message.role == "assistant":
                spoken = _spoken(" ".join((yield from _texts(message.content))))
                if not turns[1:]:
                    answer = answer or spoken[:EXCERPT_CHARS]
                turns[-1][1].append(_ends(spoken))
            yield from pace.pause()
        return History(tuple([_turn(*turn) for turn in turns]), continues, _size(messages), answer)

    def _asked(self, content: Value) -> Steps[_Found]:
        """Return the ask in a user's message."""
        parts = yield from _texts(content)
        return _found(self._finder.find(parts)) if parts else _NOTHING


_NOTHING = _Found(b"", "")


def _size(messages: list[Message]) -> int:
    return sum([memoryview(message.content).nbytes for message in messages])


def _texts(content: Value) -> Steps[list[str]]:
    """Return the texts of a message; none of one of too many parts."""
    try:
        return (yield from texts_of(content))
    except TooManyParts:
        return []


def _found(ask: Ask) -> _Found:
    text = ask.text.strip()
    if not text:
        return _NOTHING
    # A wrapper that vanishes may leave other white space; in a long text that would take too long to compare.
    return _Found(_ends(" ".join(text.split()) if len(text) <= END_CHARS else text), text[:EXCERPT_CHARS])


def _turn(found: _Found, answers: list[bytes]) -> Turn:
    """Return a turn; `answers` were given before it, the newest first."""
    pieces = [b"%d:%b" % (len(piece), piece) for piece in (found.hashed, *filter(None, answers))]
    return Turn(hashlib.blake2b(b"".join(pieces), digest_size=16).digest(), found.excerpt)


def _spoken(text: str) -> str:
    """Return an answer without the reasoning that it begins with."""
    text = text.strip()
    for opened, closed in _REASONING:
        if text.startswith(opened):
            return text.partition(closed)[2].strip()
    return text


def _ends(text: str) -> bytes:
    """Return what is hashed of a text: all of it, or its length and ends."""
    if len(text) <= 2 * END_CHARS:
        return _bytes(text)
    return b"%d:%b" % (len(text), _bytes(text[:END_CHARS] + text[-END_CHARS:]))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
