"""Read the user's turns of a request: the asks, and the answers between them; pure, in steps.

Everything that clients change from turn to turn is left out: system prompts, retrieved material, dates, tool calls and
their results, and the model's reasoning.
"""

from __future__ import annotations

import hashlib

import msgspec

from pointsman.routing import subject
from pointsman.routing.ask import NO_ASK, Ask, AskFinder, ScanBudget
from pointsman.routing.body import SYSTEM_ROLES, Message, Value
from pointsman.routing.message_memory import MessageDigest
from pointsman.routing.prompt_text import TooManyParts, read_bytes, texts_of
from pointsman.routing.steps import Steps, TimeSlice, time_sliced

# Identify a history by its newest turns, so that a long one costs no more than this.
MAX_TURNS = 32
# Hash only the length and both ends of a longer ask or answer.
END_CHARACTERS = 1024
# Characters remembered of an earlier ask or answer, to judge a new ask by.
EXCERPT_CHARACTERS = 400
_TURNS = 15  # a mask: a known message takes a microsecond, a long one twenty

# After the newest ask, an answer or a tool's result makes a request a further step of its turn. These roles do not: a
# user's message without an ask is a reminder or material, or has results, which follow an answer with their calls.
_NO_STEP = (*SYSTEM_ROLES, "user")
# Above a first turn are few prompts; of more messages the history is read in steps.
MAX_OPENING_MESSAGES = 4
_REASONING = (("<think>", "</think>"), ("<thinking>", "</thinking>"))


class Turn(msgspec.Struct, frozen=True, gc=False):
    """A user's turn: `digest` has hashes of the ask and of the answers before it, `ask` is the beginning of the ask."""

    digest: bytes
    ask: str


class History(msgspec.Struct, frozen=True, gc=False):
    """The newest turns of a request, the newest first.

    `answer` is the beginning of the answer before the newest. `continues`: an answer, complete or begun, or one with
    tool calls follows the newest turn.
    """

    turns: tuple[Turn, ...]
    continues: bool
    messages: list[Message]
    answer: str = ""

    @property
    def size(self) -> int:
        """Return the number of bytes of the messages."""
        return sum([memoryview(message.content).nbytes for message in self.messages])

    @property
    def before(self) -> str:
        """Return the beginning of the ask before the newest, and of its answer."""
        return self._before(EXCERPT_CHARACTERS, EXCERPT_CHARACTERS)

    @property
    def context(self) -> str:
        """Return the part of both that the classifier reads before the newest ask."""
        return self._before(subject.ASK_CHARACTERS, subject.ANSWER_CHARACTERS)

    def _before(self, ask: int, answer: int) -> str:
        answered = self.answer[:answer]
        return f"{self.turns[1].ask[:ask]}\n{answered}" if self.turns[1:] else answered


_NOTHING = MessageDigest(b"")


class HistoryReader:
    """A reader of histories, whose asks a finder finds, and which has the memory of the finder."""

    def __init__(self, finder: AskFinder) -> None:
        self._finder = finder
        self._known = finder.memory.digests

    def first(
        self, messages: list[Message] | None, asked_in: Message | None, ask: Ask, client: str = ""
    ) -> History | None:
        """Return the result of `read` if the ask is the only turn: in the last message, below a system prompt."""
        if not messages or messages[-1] is not asked_in or len(messages) > MAX_OPENING_MESSAGES:
            return None
        for message in messages:
            if message is not asked_in and message.role not in SYSTEM_ROLES:
                return None
        said = self._said_in(ask, client)
        return History((Turn(said.digest, said.excerpt),) if said.digest else (), False, messages)

    def read(
        self, messages: list[Message] | None, ask: Ask, asked_in: Message | None = None, client: str = ""
    ) -> Steps[History]:
        """Return the history of messages; `ask` is the ask of the request, found in the message `asked_in`.

        Without messages there is one turn, the ask. A message of too many parts counts as empty. `client` is the sender
        of the messages.
        """
        if messages is None:
            asked = _asked(ask)
            return History((Turn(asked.digest, asked.excerpt),) if asked.digest else (), False, [])
        turns: list[tuple[MessageDigest, list[MessageDigest]]] = []
        continues = False
        time_slice, scan_budget = TimeSlice(), ScanBudget()
        peek, touch = self._known.peek, self._known.touch
        for index, message in enumerate(reversed(messages)):
            role = message.role
            if message is asked_in:
                said = self._said_in(ask, client)
            elif role == "user" or (role == "assistant" and turns):
                sent = read_bytes(message.content)
                known = None if sent is None else peek(key := hash((role, client, sent)))
                if known is None:
                    said = yield from self._read(message, sent, time_slice, scan_budget, client)
                else:
                    touch(key)
                    said = known
            else:
                said = _NOTHING
            if role == "assistant" and turns:
                turns[-1][1].append(said)
            elif said.digest:
                if len(turns) > MAX_TURNS:
                    break
                turns.append((said, []))
            else:
                continues = continues or (not turns and role not in _NO_STEP)
            if index & _TURNS == _TURNS:
                yield from time_slice.pause()
        answer = next((said.excerpt for said in turns[0][1] if said.excerpt), "") if turns else ""
        return History(tuple([_turn(*turn) for turn in turns]), continues, messages, answer)

    def _read(
        self, message: Message, sent: bytes | None, time_slice: TimeSlice, scan_budget: ScanBudget, client: str
    ) -> Steps[MessageDigest]:
        """Return the text of a user's or an assistant's message, and remember it; empty if there is no room.

        `sent` is what `read_bytes` returns for it.
        """
        texts = yield from _texts(message.content)
        key = hash((message.role, client, tuple(texts) if sent is None else sent))
        known = self._known.get(key) if sent is None else None
        if known is not None:
            return known
        if message.role == "assistant":
            spoken = _spoken(" ".join(texts))
            said = MessageDigest(_digest(_ends(spoken)), spoken[:EXCERPT_CHARACTERS])
        else:
            finder = self._finder.of(client)
            ask = finder.recall(tuple(texts) if sent is None else sent, b"")
            if ask is None:
                if not scan_budget.take(texts):
                    return _NOTHING
                ask = (yield from time_sliced(finder.search(texts))) if texts else NO_ASK
            said = _asked(ask)
        self._known.put(key, said)
        yield from time_slice.pause()
        return said

    def _said_in(self, ask: Ask, client: str) -> MessageDigest:
        key = hash(("asked", client, ask.text))
        known = self._known.get(key)
        if known is None:
            known = _asked(ask)
            self._known.put(key, known)
        return known


def _turn(asked: MessageDigest, answers: list[MessageDigest]) -> Turn:
    return Turn(b"".join([said.digest for said in (asked, *answers)]), asked.excerpt)


def _texts(content: Value) -> Steps[list[str]]:
    """Return the texts of a message; none if it has too many parts."""
    try:
        return (yield from texts_of(content))
    except TooManyParts:
        return []


def _asked(ask: Ask) -> MessageDigest:
    text = ask.text.strip()
    # Removing a wrapper may leave other white space; comparing that in a long text would take too long.
    return MessageDigest(
        _digest(_ends(" ".join(text.split()) if len(text) <= END_CHARACTERS else text)), text[:EXCERPT_CHARACTERS]
    )


def _digest(said: bytes) -> bytes:
    """Return a hash of 16 bytes, empty for an empty text."""
    return said and hashlib.blake2b(said, digest_size=16).digest()


def _spoken(text: str) -> str:
    """Return an answer without the reasoning that it begins with."""
    text = text.strip()
    for opened, closed in _REASONING:
        if text.startswith(opened):
            return text.partition(closed)[2].strip()
    return text


def _ends(text: str) -> bytes:
    """Return the part of a text that is hashed: all of it, or its length and ends."""
    if len(text) <= 2 * END_CHARACTERS:
        return _bytes(text)
    return b"%d:%b" % (len(text), _bytes(text[:END_CHARACTERS] + text[-END_CHARACTERS:]))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
