"""Read the user's turns of a request: what was asked, and what was answered in between; pure, in steps.

Left out is what clients change from turn to turn: system prompts, retrieved material, dates, tool calls and their
results, and the model's reasoning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec.json import Decoder

from pointsman.lru import Lru
from pointsman.routing.ask import NO_ASK, Ask, AskFinder, AskKind
from pointsman.routing.body import Message, Value, decode, kind
from pointsman.routing.prompt_text import LIST_AT_ONCE, TooManyParts, text_of
from pointsman.routing.steps import Steps

# A history is known by its newest turns, so that a long one costs no more than this.
MOST_TURNS = 32
# Of a longer ask or answer, its length and both ends are hashed.
END_CHARS = 1024
# What is kept of an earlier ask, to be read along with a new one.
EXCERPT_CHARS = 400
# Asks that were found in earlier messages and need not be searched for again in each turn. An entry takes about 1 KB.
KNOWN_MESSAGES = 4096

_SYSTEM = ("system", "developer")
_PAUSE_MESSAGES = 63
_REASONING = (("<think>", "</think>"), ("<thinking>", "</thinking>"))


class _Part(msgspec.Struct, gc=False):
    text: str | None = None


_STRING = Decoder(str)
_PARTS: Decoder[Any] = Decoder(list[str | _Part])


class Turn(NamedTuple):
    """A user's turn: `digest` is a hash of the ask and of the answers before it, `ask` the beginning of the ask."""

    digest: bytes
    ask: str


class History(NamedTuple):
    """The newest turns of a request, the newest first.

    `continues`: something follows the newest, such as a tool's result or the beginning of an answer. `size` is the
    number of bytes of the messages.
    """

    turns: tuple[Turn, ...]
    continues: bool
    size: int

    def digests(self, back: int = 0) -> tuple[bytes, ...]:
        """Return what identifies the history up to a turn: the newest one, or the one so many turns `back`."""
        return tuple([turn.digest for turn in self.turns[back : back + MOST_TURNS]])


class _Found(NamedTuple):
    """The ask in a message: `hashed` is what is hashed of it, empty if there is none."""

    hashed: bytes
    excerpt: str


class HistoryReader:
    """Reads histories, and remembers the asks that it found in messages."""

    def __init__(self, finder: AskFinder) -> None:
        self._finder = finder
        self._known: Lru[bytes, _Found] = Lru(KNOWN_MESSAGES)

    def read(self, messages: list[Message] | None, ask: Ask) -> Steps[History]:
        """Return the history of messages; `ask` is the ask of the request.

        Without messages there is one turn, the ask. A message of too many parts says nothing.
        """
        if messages is None:
            found = _found(ask)
            return History((_turn(found, []),) if found.hashed else (), continues=False, size=0)
        turns: list[tuple[_Found, list[bytes]]] = []
        continues = False
        for count, message in enumerate(reversed(messages)):
            asked = _NOTHING
            if message.role == "user":
                asked = yield from self._asked(message.content, NO_ASK if count else ask)
            if asked.hashed:
                if len(turns) > MOST_TURNS:
                    break
                turns.append((asked, []))
            elif not turns:
                continues = continues or message.role not in _SYSTEM
            elif message.role == "assistant":
                turns[-1][1].append(_ends(_spoken((yield from _text(message.content)))))
            if count & _PAUSE_MESSAGES == _PAUSE_MESSAGES or memoryview(message.content).nbytes > LIST_AT_ONCE:
                yield
        return History(tuple([_turn(*turn) for turn in turns]), continues, _size(messages))

    def _asked(self, content: Value, ask: Ask) -> Steps[_Found]:
        """Return the ask in a user's message; `ask` need not be searched for if it is the whole of it."""
        parts = yield from _parts(content)
        if not any(parts):
            return _NOTHING
        if ask.kind is AskKind.MESSAGE and ask.text == " ".join(parts):
            return _found(ask)
        key = _bytes("\0".join(parts))
        if len(key) >= 16:
            key = hashlib.blake2b(key, digest_size=16).digest()
        found = self._known.get(key)
        if found is None:
            found = _found(self._finder.find(parts))
            self._known.put(key, found)
        return found


_NOTHING = _Found(b"", "")


def _size(messages: list[Message]) -> int:
    return sum([memoryview(message.content).nbytes for message in messages])


def _parts(content: Value) -> Steps[Sequence[str]]:
    """Return the texts of a message, one by one unless it is large."""
    if kind(content) == b"[" and memoryview(content).nbytes <= LIST_AT_ONCE:
        parts = decode(content, None, _PARTS)
        if parts is not None:
            return [text for part in parts if (text := part if isinstance(part, str) else part.text)]
    return ((yield from _text(content)),)


def _text(content: Value) -> Steps[str]:
    """Return the text of a message; none of one of too many parts."""
    if kind(content) == b'"' and memoryview(content).nbytes <= LIST_AT_ONCE:
        text: str | None = decode(content, None, _STRING)
        if text is not None:
            return text
    try:
        return (yield from text_of(content))
    except TooManyParts:
        return ""


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
