"""No reader of a message looks at a character more than a small constant number of times.

Texts full of pairs of the marks that a reader knows are read at three sizes, and so are some triples, by CPU time.
`make nightly` reads all pairs and all triples.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import pytest

from pointsman.classify import code
from pointsman.config.rules import Rule
from pointsman.errors import RequestError
from pointsman.formats import CHAT
from pointsman.improve.redaction import Redactor
from pointsman.routing import json_scan
from pointsman.routing.ask import AskFinder
from pointsman.routing.body import FIELDS, read_fields
from pointsman.routing.conversation_keys import ANYBODY, conversation_of
from pointsman.routing.history import HistoryReader
from pointsman.routing.parsed_request import parse_request, read_request
from pointsman.routing.rules import NO_ORIGIN, Rules
from pointsman.routing.steps import Steps, finish, time_sliced
from support import marks
from support.growth import Growth, Work, growth_of, step_times, undisturbed

KIB = 1024
# Of more lines than 512, or of an element of HTML that becomes two, the ends are read, which takes no longer.
MAX_LINES = 480
END = "\n\n</zz> What is a tort?"
STEP_SECONDS = 0.05
MESSAGE_SECONDS = 0.5
MESSAGES_SECONDS = 5.0
WORST, TRIPLES = 10, 1_000

RULES = Rules(
    [
        Rule(name="words", keywords=("a", "a a", "aaaaaaaa a", "a: a: a: b"), keywords_match="all", never="a"),
        Rule(name="pattern", pattern=r"\b(a+b?)+c", never="a"),
        Rule(name="another", pattern=r"(why|a)( .)*x$", never="a"),
        Rule(name="images", images=True, never="a"),
    ]
)
REDACTOR, OPERATORS = Redactor(()), Redactor((r"a+b", r"(?:ab|a)*c", r"why.*x"))


def body_of(texts: Sequence[str], *roles: str) -> bytes:
    """A request with a message of each text, whose roles follow each other."""
    messages = [{"role": role, "content": text} for role, text in zip(itertools.cycle(roles), texts, strict=False)]
    return json.dumps({"model": "MoM", "messages": messages}).encode()


def reading(body: bytes) -> Steps[object]:
    """All that is read of a request before it is classified."""
    finder = AskFinder()
    fields = yield from read_fields(body)
    request = yield from read_request(CHAT, fields, finder)
    yield from RULES.judge(request, NO_ORIGIN)
    history = yield from HistoryReader(finder).read(request.messages, request.ask, request.asked)
    return conversation_of(history, ANYBODY)


def one_message(text: str) -> Work:
    finder = AskFinder()
    return lambda: finder.find([text])


def parts(text: str) -> Work:
    finder, pieces = AskFinder(), pieces_of(text, 32)
    return lambda: finder.find(pieces)


def pieces_of(text: str, max_pieces: int) -> list[str]:
    size = max(len(text) // max_pieces, 128)
    return [text[at : at + size] for at in range(0, len(text), size)]


def messages(text: str) -> Work:
    """Each message is another, as what is known is not read again."""
    texts = [f"{number} {piece}" for number, piece in enumerate(pieces_of(text, 64))]
    body = body_of(texts, "user", "user", "assistant")
    return lambda: finish(reading(body))


def ruled(text: str) -> Work:
    request = parse_request(CHAT, body_of([text], "user"))
    return lambda: finish(RULES.judge(request, NO_ORIGIN))


def code_in(text: str) -> Work:
    return lambda: code.mostly_code(text)


def redacted(text: str) -> Work:
    return lambda: REDACTOR.redact(text)


def redacted_by_patterns(text: str) -> Work:
    return lambda: OPERATORS.redact(text)


def json_body(text: str) -> Work:
    body = b'{"model":"MoM","messages":[%b]}' % text.encode()

    def work() -> None:
        with contextlib.suppress(RequestError):
            finish(reading(body))
        for read in (
            json_scan.members(body, FIELDS),
            json_scan.elements(body, json_scan.ByteSpan(26, len(body)), 4096),
        ):
            with contextlib.suppress(json_scan.JsonError):
                finish(read)

    return work


class Reader(NamedTuple):
    """How texts of these marks are read; at `max_characters`, limits may begin. Of all pairs, a share is tried."""

    begin: Callable[[str], Work]
    marks: Sequence[str]
    max_characters: int
    between: str = ""
    end: str = END
    share: float = 1

    def text(self, found: Sequence[str], size: int) -> str:
        return marks.text_of(found, size, self.between) + self.end

    def size(self, found: Sequence[str]) -> int:
        unit = "".join([mark + self.between for mark in found])
        lines = unit.count("\n") + 2 * unit.count("<") * found[0].startswith("<")
        return min(self.max_characters, MAX_LINES * len(unit) // lines) if lines else self.max_characters

    def growth(self, found: Sequence[str]) -> Growth:
        return growth_of(lambda size: self.begin(self.text(found, size)), self.size(found))

    def read(self, tried: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
        """Read a text of each of these marks; return those that take the longest, and fail where one takes too long."""
        with undisturbed():
            grown = [(self.growth(found), found) for found in tried]
        assert [f"{found!r}: {growth.fault}" for growth, found in grown if growth.fault] == []
        return [found for _, found in heapq.nlargest(WORST, grown)]


ASKS = marks.of_asks()
READERS = {
    "a line": Reader(one_message, ASKS, 4 * KIB, share=0.3),
    "lines": Reader(one_message, ASKS, 4 * KIB, "\n", share=0.3),
    "messages": Reader(messages, ASKS, 4 * KIB, " ", share=0.1),
    "parts": Reader(parts, ASKS, 4 * KIB, share=0.1),
    "rules": Reader(ruled, [*marks.FORMS], 4 * KIB, end="", share=0.5),
    "code": Reader(code_in, [*marks.FORMS, *marks.of_module(code), *".@/"], 1_900, end="="),
    "redaction": Reader(redacted, marks.of_redaction(), 16 * KIB, end=""),
    "the operator's patterns": Reader(
        redacted_by_patterns, ["a", "b", "c", "why", "x", " ", "\n", "é"], 2 * KIB, end=""
    ),
    "JSON": Reader(json_body, marks.JSON, 16 * KIB, end=""),
}
WHOLE = ("a line", "lines")


def pairs(name: str, share: float = 1) -> Iterator[tuple[str, ...]]:
    chosen = random.Random(name)  # noqa: S311 - no secret
    every = itertools.combinations_with_replacement(READERS[name].marks, 2)
    return (pair for pair in every if chosen.random() < share)


def check_steps(begin: Callable[[], Steps[object]], max_seconds: float) -> None:
    """Check that no step takes long, nor all of them together; what fails is measured again."""
    with undisturbed():
        for _ in range(3):
            steps = step_times(begin())
            if max(steps) < STEP_SECONDS and sum(steps) < max_seconds:
                return
    assert max(steps) < STEP_SECONDS
    assert sum(steps) < max_seconds


def check_worst(text: str) -> None:
    """The worst 64 KiB take 3 ms in one step, and 12 ms in all; of 8 MiB, 1 s."""
    message = text * (64 * KIB // len(text))
    check_steps(lambda: time_sliced(AskFinder().search([message])), MESSAGE_SECONDS)
    body = body_of([f"{number} {text}" for number in range(min(8 * KIB * KIB // len(text), 4_000))], "user")
    check_steps(lambda: reading(body), MESSAGES_SECONDS)


def test_a_reader_that_reads_the_rest_again_at_each_mark_is_found_out() -> None:
    def grown(step: int) -> str:
        def begin(size: int) -> Work:
            text = "a" * size
            return lambda: [text[position:].split("a") for position in range(0, size, step or size)]

        return growth_of(begin, 4 * KIB).fault

    assert grown(step=8)
    assert not grown(step=0)


@pytest.mark.thorough
@pytest.mark.parametrize("name", READERS)
def test_twice_the_text_of_two_marks_takes_about_twice_the_time_and_the_worst_are_done_in_steps(name: str) -> None:
    reader = READERS[name]
    worst = reader.read(pairs(name, reader.share))
    for pair in worst if name in WHOLE else ():
        check_worst(reader.text(pair, reader.size(pair)))


@pytest.mark.thorough
@pytest.mark.parametrize("name", WHOLE)
def test_nor_does_that_of_some_three(name: str) -> None:
    chosen = random.Random(name)  # noqa: S311 - no secret
    READERS[name].read(tuple(chosen.sample(ASKS, 3)) for _ in range(TRIPLES))


@pytest.mark.nightly
@pytest.mark.parametrize("name", READERS)
def test_nor_does_that_of_any_two_in_eight_times_the_text(name: str) -> None:
    reader = READERS[name]
    reader._replace(max_characters=8 * reader.max_characters).read(pairs(name))


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(len(ASKS)))
@pytest.mark.parametrize("name", WHOLE)
def test_nor_does_that_of_any_three(name: str, first: int) -> None:
    others = itertools.combinations_with_replacement(ASKS[first:], 2)
    READERS[name].read((ASKS[first], *other) for other in others)
