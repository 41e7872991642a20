"""Finding the ask is linear work, whatever a message holds, and bounded."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from pointsman.routing import steps
from pointsman.routing.ask import AskFinder, payload
from pointsman.routing.ask.names import name_of
from pointsman.routing.ask.tags import tagged
from support.growth import least

KIB = 1024
LINE = "Why is the sky blue?"
# Repeated, these make patterns and loops try again at each place.
WORST = [
    *("a", " ", "\n", "<", "<a", "<a>", "</a>", "<a>\n", "<a\n>", "[a", "[a]", "[/a]", "```\n", "~~~", "```a\n```\n"),
    *("---\n", "-", "=", "-- ", ":", "a:", "a: ", "a: a\n", "Question: a\n", "Context: a\n\n", "#", "# a\n", "> a\n"),
    *("# Question\na\n# Context\na\n", "a? ", "?", '"', '"a": ', "{", '{"a":', "[", "(", "()", "a.b.", "a, a, "),
    *("User: a\nAI: a\n", "<|im_start|>user\na", "[INST]", "...... F", "a@a:", "1:", "\t|", "a,a,a,a\n", "BEGIN A\n"),
    *(
        "a b\n\n",
        "How do I do this?\n\n",
        "a@b:~$ x\n",
        "@@ -1\n",
        "+a\n",
        "Why do I bake bread? ",
        "A: b c\n\nQ: a b\n\n",
    ),
    *(
        "<!-- a -->\n",
        "1. A B\n",
        "a ```a\n",
        "A b\n===\n",
        "h2. a\n",
        "[a](b) ",
        "USER: a ASSISTANT: ",
        "<p>",
        "# A #\n",
    ),
    *("**a:** b\n", "a: why do b\n", "<x>why do a</x>\n", "```\nwhy do a\n```\n", "(a) ", "to a, " * 3, "'a' "),
    *("A B\n", "é", "質問: ", "and ", ", and ", ' is "', "\u2028", "'", "*" * 120 + "x\n"),
]


def events(work: Callable[[], object]) -> int:
    """How many lines of Python run, which is the same each time; what C does in one is looked at by its clock.

    Without pauses, whose number is that of the half milliseconds that pass.
    """
    count = 0

    def trace(*_: Any) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()  # that of coverage
    with mock.patch.object(steps, "perf_counter", itertools.repeat(0.0).__next__):
        sys.settrace(trace)
        try:
            work()
        finally:
            sys.settrace(before)
    return count


def work(text: str) -> int:
    finder = AskFinder()
    return events(lambda: finder.find([text]))


@pytest.mark.thorough
@pytest.mark.parametrize("unit", WORST)
def test_twice_the_text_is_about_twice_the_work(unit: str) -> None:
    short, long = (unit * (size * KIB // len(unit)) + "\n\nWhat is a tort?" for size in (4, 16))
    AskFinder().find([short])
    assert work(long) < 6 * work(short) + 2000


@pytest.mark.parametrize("unit", ["```a* \n", "```a\n~~~b\n\"\"\"c\n'''d\n", "a: ```a\n", "~~~a\n"])
def test_marks_that_begin_fences_without_an_end_are_read_a_constant_number_of_times(unit: str) -> None:
    """What never ends is no fence, and what is below is read again: once for each mark, and not for each line."""
    short, long = (unit * (lines // unit.count("\n")) for lines in (128, 512))
    AskFinder().find([short])
    assert work(long) < 4.4 * work(short)


def test_a_mail_in_html_is_cut_where_its_tags_have_become_lines() -> None:
    """Each tag becomes two."""
    assert work("<p># x" * 10_000) < 2 * work("<p># x" * 1_000)


def test_of_many_marks_of_fences_behind_words_each_is_read_once() -> None:
    """However many there are: they were read by recursion."""
    short, long = (f"See: {'```a ' * many}\nx\n```\n\nWhat is a tort?" for many in (1_000, 4_000))
    assert work(long) < 4.4 * work(short)


def test_a_speaker_who_is_a_thousand_objects_deep_is_none() -> None:
    for deep in range(800, 1_000):
        turn = '{"role":' * deep + '"user"' + "}" * deep
        asked = AskFinder().find([f'{{"turns": [{turn}], "question": "Why do I bake bread?"}}'])
        assert asked.text.count("Why do I bake bread?") == 1


def test_behind_many_tags_the_end_of_a_line_is_looked_for_once() -> None:
    def seconds(tags: int) -> float:
        text = "<ab>" * tags + "a" * 8 * KIB * KIB + "</ab>"
        return least(lambda: lambda: tagged(text, name_of, widest=True), 5)

    assert seconds(250) < 10 * seconds(2)


def test_a_long_message_is_searched_in_steps_and_a_line_at_once() -> None:
    assert sum(1 for _ in AskFinder().search(["Question: a\n" * 500])) > 400
    assert sum(1 for _ in AskFinder().search([LINE])) == 0


@pytest.mark.parametrize("unit", WORST)
def test_no_pattern_takes_long_at_its_worst(unit: str) -> None:
    """The largest takes 10 ms of CPU, and a pattern that tries everything twice minutes."""
    text = unit * (64 * KIB // len(unit))
    began = time.thread_time()
    AskFinder().find([text, text[: 16 * KIB] + "!"])
    assert time.thread_time() - began < 0.5


def test_many_blocks_under_two_labels_take_no_longer_than_as_many_under_none() -> None:
    """Each block is looked up among those taken: were that a search through them, this would take minutes."""
    AskFinder().find(["Context:\n" + "a\n\n" * 10_000 + "Question:\n" + "b\n\n" * 10_000])


def test_a_line_without_a_mark_costs_next_to_nothing() -> None:
    finder = AskFinder()
    assert 3 * events(lambda: finder.find([LINE])) < events(lambda: finder.find([f"{LINE}\n{LINE}"]))


def test_of_a_long_message_only_the_ends_are_looked_at() -> None:
    finder = AskFinder()
    message = (
        f"<context>\n{'The ferry leaves at nine. ' * 10_000}\n</context>\n\nWhat is a tort, and who must prove it?"
    )
    asked = finder.find([message])
    assert asked.text == "What is a tort, and who must prove it?"
    (taken,) = [step for step in asked.steps if step.what == "taken"]
    assert message[taken.start : taken.end].strip() == asked.text
    assert work(message) == work(message[:40_000] + message[-40_000:])


@pytest.mark.parametrize("line", ["Question: a\n", "a: a\n", "User: a\nAI: a\n"])
def test_of_many_lines_only_the_first_and_the_last_are_looked_at(line: str) -> None:
    """Each of them may be a block of its own."""
    ends = line * 520
    assert work(ends + line * 3_000 + ends) < 1.2 * work(ends + ends)


def test_many_parts_are_looked_at_as_one() -> None:
    finder = AskFinder()
    assert events(lambda: finder.find(["Question: a"] * 4_096)) < 10_000


def test_of_the_keys_of_a_payload_only_the_ends_are_remembered() -> None:
    """Names are kept in a cache of thousands."""
    names: list[str] = []

    def known(name: str, free: bool) -> None:
        names.append(name)

    payload.ask_in(json.dumps({"a" * 30 * KIB: {"b" * KIB: "c d"}}), known)
    assert [name[0] for name in names] == ["a", "b"]
    assert max(map(len, names)) <= 120
