"""Find the ask of a person in the text parts of a message; pure except for a memo, in linear time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from pointsman.routing.ask.about import with_about
from pointsman.routing.ask.ask import NO_ASK, Ask, AskKind, AskStep
from pointsman.routing.ask.evidence import ASKS
from pointsman.routing.ask.helpers import is_helper, is_retry
from pointsman.routing.ask.lines import asking_line, asks_first
from pointsman.routing.ask.names import NameOf, name_of, with_patterns
from pointsman.routing.ask.pasted import of_html
from pointsman.routing.ask.prose import instruction
from pointsman.routing.ask.search import WHOLE, SearchedText, ask_in, line_in
from pointsman.routing.message_memory import MessageMemory
from pointsman.routing.steps import Steps, finish

# Only the two ends of a longer message are read.
END_CHARACTERS = 32 * 1024
END_LINES = 256
# Of all messages of a request together: no model reads more. Each line or tag counts as 64 characters.
MAX_REQUEST_CHARACTERS = 4 * 1024 * 1024
_LINE_COST = 64
# Where a message has no ask of its own, its line that asks is at one of its ends.
LINE_CHARACTERS = 4 * 1024
# Longer text around the line is material.
_AROUND = 300
# More parts are read as one.
MAX_SEPARATE_PARTS = 64


class ScanBudget:
    """The characters that may still be read of a request, so that many messages take no more time than a few."""

    def __init__(self) -> None:
        self._left = MAX_REQUEST_CHARACTERS

    def take(self, parts: Sequence[str]) -> bool:
        """Reserve the characters of one more message, and return whether they fit."""
        lines = sum([part.count("\n") + part.count("<") for part in parts])
        self._left -= min(sum(map(len, parts)), 2 * END_CHARACTERS) + _LINE_COST * min(lines, 2 * END_LINES)
        return self._left >= 0


class AskFinder:
    """A finder of asks by the names of tags and labels, and by the forms and words of paragraphs."""

    def __init__(
        self,
        mode: Literal["last_user", "ask", "all"] = "ask",
        strip: Sequence[str] = (),
        take: Sequence[str] = (),
        body_field: str | None = None,
    ) -> None:
        """Take patterns of names, `strip` and `take`, that precede the built-in ones."""
        self.mode, self.body_field = mode, body_field
        self._name_of: NameOf = name_of if not strip and not take else with_patterns(strip, take)
        self.memory = MessageMemory()
        """The memory of messages, shared with the finders of clients."""
        self._client = ""

    def of(self, client: str) -> AskFinder:
        """Return the finder of one client's asks, whose timing reveals nothing about the texts of others."""
        if not client:
            return self
        own = object.__new__(type(self))
        vars(own).update(vars(self), _client=client)
        return own

    def recall(self, said: bytes | tuple[str, ...], frame: bytes | None) -> Ask | None:
        """Return the ask in a message under a system prompt, if it is remembered, or None.

        `said` is what `read_bytes` returns for the message, or its texts. `frame` is the part of the system prompt that
        is read, None if it is too long to remember.
        """
        if frame is None:
            return None
        return self.memory.asks.get(hash(("ask", self._client, frame, said)))

    def remember(self, said: bytes | tuple[str, ...], frame: bytes | None, ask: Ask) -> None:
        """Remember the ask in a message."""
        if frame is not None:
            self.memory.asks.put(hash(("ask", self._client, frame, said)), ask)

    def find(self, parts: Sequence[str], system: str = "") -> Ask:
        """Return the ask in the text parts of one message; `system` is the beginning of the system prompt."""
        return finish(self.search(parts, system))

    def search(self, parts: Sequence[str], system: str = "") -> Steps[Ask]:
        """Return the result of `find`, in steps of different length."""
        given = [part for part in parts if part]
        whole = " ".join(given)
        if not whole.strip():
            return NO_ASK
        if self.mode != "ask":
            return Ask(whole, AskKind.MESSAGE)
        return self._with_line((yield from self._search(given, whole, system)))

    def whole(self, parts: Sequence[str]) -> Ask:
        """Return all parts of a message as the ask, if no single part is one."""
        text = " ".join(parts)
        if not text or text.isspace():
            return NO_ASK
        key = hash(("whole", self._client, text))
        known = self.memory.asks.get(key)
        if known is None:
            known = replace(self._with_line(Ask(text, AskKind.MESSAGE)), text="")
            self.memory.asks.put(key, known)
        return replace(known, text=text)

    def _with_line(self, ask: Ask) -> Ask:
        """Return an ask with its line that asks, if its first line does not.

        The line is `separate` if the message also does not begin with a person's words, and is much longer.
        """
        if self.mode != "ask" or "\n" not in ask.text or ask.supplement or ask.others:
            return ask
        first = asks_first(ask.text)
        if first >= ASKS:
            return ask
        text = _line_ends(ask.text)
        span = asking_line(text, self._name_of, fields=False, min_score=1)
        if span is None:
            return ask
        line = text[slice(*span)]
        separate = not first and len(ask.text) > len(line) + _AROUND and asks_first(line) >= ASKS
        return replace(ask, line=line, separate=separate)

    def _search(self, given: list[str], whole: str, system: str) -> Steps[Ask]:
        """Return what the first exit finds, or else what is found in the message's text."""
        span = instruction(whole)
        for leave in MESSAGE_EXITS:
            left = leave(whole, system, span)
            if left is not None:
                return left
        few = len(given) <= MAX_SEPARATE_PARTS and len(whole) <= 2 * END_CHARACTERS
        found = yield from self._found(given if few else [whole])
        if found is WHOLE:
            return Ask(whole, AskKind.MESSAGE)
        span = instruction(found.text)
        return found if span is None else Ask(found.text[slice(*span)], AskKind.ASK, steps=found.steps)

    def _found(self, given: list[str]) -> Steps[Ask]:
        """Return the ask in the parts of a message, of which the two ends are read."""
        parts = [of_html(part, END_CHARACTERS) for part in given]  # each tag becomes a line of its own
        shown = " ".join(parts)
        head, tail = _ends(shown)
        if head >= tail:
            return (yield from self._shown(SearchedText(parts, self._name_of, widest=True)))
        ends = SearchedText([f"{shown[:head]}\n{shown[tail:]}"], self._name_of, widest=True)
        found = yield from self._shown(ends)
        return found if found is WHOLE else _moved(found, head, tail - head - 1)

    def _shown(self, text: SearchedText) -> Steps[Ask]:
        """Return what an exit finds, or else the line that asks."""
        found = yield from ask_in(text)
        if not found.text and "</" in text.text:
            # An apparent block of material may be several blocks, with the ask between them.
            yield
            other = yield from ask_in(SearchedText(text.parts, self._name_of, widest=False))
            found = other if other.text else found
        if found.text:
            return with_about(found, text.text)
        if found is not WHOLE and text.encloses:
            return found
        return line_in(text.text, self._name_of, fields="</" not in text.text) or found


def _helper_task(whole: str, system: str, span: tuple[int, int] | None) -> Ask | None:
    line = None if span is None else whole[span[0] :].partition("\n")[0]
    return Ask("", AskKind.HELPER_TASK) if is_helper(whole, system, line) else None


def _harness(whole: str, system: str, span: tuple[int, int] | None) -> Ask | None:
    return NO_ASK if is_retry(whole) else None


def _instruction(whole: str, system: str, span: tuple[int, int] | None) -> Ask | None:
    """Take the instruction about the other parts of a message, which are material."""
    if span is None:
        return None
    begin, end = span
    taken = AskStep("taken", begin, end)
    if begin:
        return Ask(whole[begin:end], AskKind.ASK, steps=(AskStep("material", 0, begin), taken))
    return Ask(whole[begin:end], AskKind.ASK, steps=(taken, AskStep("material", end, len(whole))))


MESSAGE_EXITS = (_helper_task, _harness, _instruction)
"""The exits of a message before it is taken apart (search.py), in their order: the first that finds an ask counts."""


def _line_ends(text: str) -> str:
    long = len(text) > 2 * LINE_CHARACTERS
    return f"{text[:LINE_CHARACTERS]}\n{text[-LINE_CHARACTERS:]}" if long else text


def _ends(text: str) -> tuple[int, int]:
    """Return the end of the part read at a text's beginning, and the start of that at its end; they may overlap."""
    head, tail = END_CHARACTERS, len(text) - END_CHARACTERS
    if text.count("\n") > 2 * END_LINES:
        at = -1
        for _ in range(END_LINES):
            at = text.index("\n", at + 1)
        head = min(head, at)
        at = len(text)
        for _ in range(END_LINES):
            at = text.rindex("\n", 0, at)
        tail = max(tail, at + 1)
    return head, tail


def _moved(ask: Ask, head: int, left_out: int) -> Ask:
    """Return the ask of a text whose middle was left out, with the steps at their positions in the whole text."""
    steps = [
        AskStep(step.what, step.start + left_out * (step.start > head), step.end + left_out * (step.end > head))
        for step in ask.steps
    ]
    return replace(ask, steps=tuple(steps))


BUILTIN = AskFinder()
"""The finder with the default configuration."""
