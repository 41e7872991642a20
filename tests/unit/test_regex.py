"""Regular expressions of rules: what they find, what is refused, and that the work is linear."""

from __future__ import annotations

import random
import re
from functools import cache

import pytest

from pointsman.config import regex
from pointsman.routing.keywords import has_keyword
from pointsman.routing.matcher import Matcher, spans
from pointsman.routing.steps import finish

ATOMS = ("a", "b", "1", ".", r"\d", r"\w", r"\s", r"\b", "[ab]", "[^a]", "[a-z1]", "^", "$", r"\W", r"\B", r"[\d_]")
REPEATS = ("*", "+", "?", "{2}", "{1,2}", "{1,}", "*?")


def matcher_of(patterns: list[str], *, fold: bool = False) -> Matcher:
    return Matcher([regex.compiled(pattern, fold=fold) for pattern in patterns])


def found(matcher: Matcher, text: str, patterns: int = 1) -> list[bool]:
    """Whether each of so many patterns is found."""
    bits = finish(matcher.find(text))
    return [bool(bits >> number & 1) for number in range(patterns)]


def made_up(dice: random.Random, depth: int = 0) -> str:
    kind = dice.random()
    if depth > 3 or kind < 0.35:
        return dice.choice(ATOMS)
    if kind < 0.6:
        return made_up(dice, depth + 1) + made_up(dice, depth + 1)
    if kind < 0.75:
        return f"(?:{made_up(dice, depth + 1)}|{made_up(dice, depth + 1)})"
    return f"(?:{made_up(dice, depth + 1)}){dice.choice(REPEATS)}"


def test_it_finds_what_pythons_own_finds() -> None:
    """For 1,500 made-up patterns, three at a time, and texts of their letters."""
    dice = random.Random(1)  # noqa: S311
    for _ in range(500):
        patterns = [made_up(dice) for _ in range(3)]
        matcher = matcher_of(patterns)
        for _ in range(5):
            text = "".join(dice.choice("ab1 _\n") for _ in range(dice.randrange(1, 8)))
            expected = [re.search(one.replace("$", r"\Z"), text) is not None for one in patterns]
            assert found(matcher, text, 3) == expected, (patterns, text)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (r"\$\d+(\.\d{2})?", "it costs $12.50", True),
        (r"\bGDPR\b", "what does the gdpr say", True),
        (r"\bgdpr\b", "gdprs", False),
        ("straße|strasse", "STRASSE", True),
        ("[^x]é", "É É", True),
        ("^$", "", True),
        (r"a\.b", "a.b", True),
        (r"a\.b", "axb", False),
        (r"[]a]b", "]b", True),
        (r"[a\]-]x", "-x", True),
        ("", "anything", True),
    ],
)
def test_by_default_it_ignores_case(pattern: str, text: str, expected: bool) -> None:
    assert found(matcher_of([pattern], fold=True), text) == [expected]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"(a)\1", r"`\1`, which cannot be used, at character 5"),
        ("(?=a)", "lookaround and flags cannot be used"),
        ("(?i)a", "lookaround and flags cannot be used"),
        ("(?P<x>a)", "lookaround and flags cannot be used"),
        ("(a", "a `(` without its `)`"),
        ("a)", "a `)` without its `(`, at character 2"),
        ("*a", "a `*` that repeats nothing"),
        ("a++", "a `+` after a repeat"),
        ("[a", "the pattern ends too early"),
        ("a\\", "the pattern ends too early"),
        ("[b-a]", "a range from `b` back to `a`"),
        ("a{", "a `{` that is not"),
        ("a{2,1}", "a repeat beyond 100 times, or of more than the most"),
        ("a{101}", "a repeat beyond 100 times"),
        (r"\p{L}", r"`\p`, which cannot be used"),
        ("(a{100}){100}", "it is too large, as it takes more than 1,000 steps"),
        ("((((){100}){100}){100}){100}", "it is too large"),
        ("(" * 40 + ")" * 40, "more than 30 groups inside of each other"),
        ("a" * 1001, "it is too large"),
    ],
)
def test_what_cannot_run_in_linear_time_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        regex.compiled(pattern)


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*b", r"(a*)*c", r"(.*)*x", "(a?){50}a{50}b"])
def test_a_pattern_that_would_take_pythons_own_for_ever_takes_one_look_at_each_character(pattern: str) -> None:
    """Of a repeated character the states are known after the first few: each is computed once."""
    matcher = Matcher([regex.compiled(pattern)])
    assert finish(matcher.find("a" * 4096)) in (0, 1)
    known = matcher._transitions
    assert known <= 120
    assert finish(matcher.find("a" * 100_000)) in (0, 1)
    assert matcher._transitions == known


@pytest.mark.thorough
def test_the_states_that_are_kept_are_bounded() -> None:
    """However varied the texts are: a client cannot fill the memory, and what is found stays right."""
    matcher = matcher_of(["a.{30}b", r"\w{9}\d"], fold=True)
    dice = random.Random(2)  # noqa: S311
    for _ in range(12):
        text = "".join(dice.choice("ab1 cé") for _ in range(2_000))
        expected = [re.search("a.{30}b", text) is not None, re.search(r"\w{9}\d", text) is not None]
        assert found(matcher, text, 2) == expected
        assert matcher._transitions <= 20_000
        assert len(matcher._states) <= 20_001


def test_long_work_is_done_in_steps() -> None:
    """So that other requests go on meanwhile."""
    matcher = Matcher([regex.compiled("(a|b|ab|ba){0,90}c{2}")])
    dice = random.Random(3)  # noqa: S311
    text = "".join(dice.choice("abcd") for _ in range(4096))
    assert sum(1 for _ in matcher.find(text)) > 1


@pytest.mark.parametrize(
    ("text", "keyword", "expected"),
    [
        ("sue my landlord now", "landlord", True),
        ("landlords", "landlord", False),
        ("slumlandlord", "landlord", False),
        ("landlords and a landlord", "landlord", True),
        ("i write c++ code", "c++", True),
        ("use .net please", ".net", True),
        ("habeas corpus?", "habeas corpus", True),
        ("关于法律的问题", "法律", True),
        ("x", "x", True),
        ("", "x", False),
    ],
)
def test_a_keyword_is_found_as_whole_words(text: str, keyword: str, expected: bool) -> None:
    assert has_keyword(text, keyword) is expected


def test_spans_cover_what_pythons_own_finds() -> None:
    """From every place, for 500 made-up patterns; a part that is covered can be told from one that is not."""
    dice = random.Random(2)  # noqa: S311
    for _ in range(500):
        pattern = made_up(dice)
        text = "".join(dice.choice("ab1 _") for _ in range(dice.randrange(12)))
        theirs = re.compile(pattern.replace("$", r"\Z"), re.ASCII)
        covered: set[int] = set()
        for start in range(len(text)):
            for end in range(start + 1, len(text) + 1):
                if _matches(theirs, text, start, end):
                    covered |= set(range(start, end))
        ours = spans(regex.compiled(pattern, fold=False), text)
        assert {position for start, end in ours for position in range(start, end)} == covered, (pattern, text)
        assert ours == sorted(ours), (pattern, text)


@cache
def _up_to(rest: int, pattern: re.Pattern[str]) -> re.Pattern[str]:
    """What matches the pattern where so many characters follow."""
    return re.compile(f"(?:{pattern.pattern})(?=.{{{rest}}}\\Z)", re.ASCII | re.DOTALL)


def _matches(pattern: re.Pattern[str], text: str, start: int, end: int) -> bool:
    """Whether the pattern can match exactly this part of the text, with what is around it."""
    found = _up_to(len(text) - end, pattern).match(text, start)
    return found is not None and found.end() == end


@pytest.mark.parametrize(
    ("pattern", "text", "expected"), [(r"a\tb", "a\tb", True), (r"a\tb", "atb", False), (r"a\nb", "a\nb", True)]
)
def test_an_escape_is_the_character_that_it_names(pattern: str, text: str, expected: bool) -> None:
    assert found(matcher_of([pattern]), text) == [expected]


@pytest.mark.parametrize("pattern", ["a{2x}", "a{,3}", "a{", "a{2", "a{1234}", "a{}"])
def test_a_brace_that_is_no_repeat_is_told(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"that is not `\{n\}`"):
        matcher_of([pattern])
