"""How much of a line is looked at for a label, and which lines may be one."""

from __future__ import annotations

import pytest

from pointsman.routing.ask.labels import RULE, LabelStyle, is_key, label_in, may_be_mark
from pointsman.routing.ask.names import PartRole, RankedRole, with_patterns


def known(name: str, free: bool) -> RankedRole:
    return RankedRole(PartRole.ASK)


@pytest.mark.parametrize(
    ("longest", "fill"),
    [
        pytest.param("=" * 75 + " CONTEXT " + "=" * 76, "=", id="a frame of 160"),
        pytest.param("A" * 80, "A", id="capitals of 80"),
        pytest.param("# " + "a" * 159, "a", id="a heading of 160"),
        pytest.param("a " * 200 + ": b", " ", id="400 before a colon"),
        pytest.param(" " * 787 + 'question is "', " ", id="800 before a quotation"),
    ],
)
def test_longer_lines_are_no_labels(longest: str, fill: str) -> None:
    longer = longest.replace(fill, 2 * fill, 1)
    assert label_in(longest, longest, known) is not None
    assert label_in(longer, longer, known) is None


@pytest.mark.parametrize(("line", "words"), [("It is. " + "a" * 80, "a" * 80), ("b" + "a" * 80, "a" * 80)])
def test_the_words_before_a_colon_are_the_last_80_characters(line: str, words: str) -> None:
    named: list[str] = []

    def noted(name: str, free: bool) -> RankedRole:
        named.append(name)
        return RankedRole(PartRole.ASK)

    label = label_in(f"{line}: c", f"{line}: c", noted)
    assert label is not None
    assert label.style.sentence
    assert named == [words]


def test_names_of_the_config_are_looked_for_before_each_colon() -> None:
    named = with_patterns([], ["Zettel:"])
    label = label_in("Zettel: eins", "Zettel: eins", named)
    assert label is not None
    assert label.name == RankedRole(PartRole.ASK, 5)
    assert label_in("Address: 5 Main Street", "Address: 5 Main Street", named) is None


@pytest.mark.parametrize(
    "line",
    [
        "# a", "- a", "= a", "[a", "<a", "【a", "* a", "`a", "~a", '"a', "'a", "_a", "─a", "—a", "+ a", "a:", "a：",
        "質問：a", "a: b", "SOUP", "h2. Soup", 'It is "so"', "It is: 'so'", "It is «so»", "It is “so”", "It is ‘so’",
    ],
)  # fmt: skip
def test_a_line_may_be_a_label_by_its_first_and_last_characters(line: str) -> None:
    assert may_be_mark(line)


@pytest.mark.parametrize(
    "line",
    ["The soup is hot.", "See http://x.org", "Drive a Model X", "XML is old", "Mr. Smith rents", "how do I", "h2.a"],
)
def test_most_lines_are_none(line: str) -> None:
    assert not may_be_mark(line)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("Name: Ann", True),
        ("**Name:** Ann", True),
        ("First name of : Ann", True),
        ("The first name of her: Ann", False),
        ("Name:", False),
        ("Name:Ann", False),
        ("Name Ann", False),
    ],
)
def test_a_line_of_a_form_has_a_key_of_at_most_three_words(line: str, key: bool) -> None:
    assert is_key(line) is key


@pytest.mark.parametrize(
    ("line", "rule"), [("---", True), ("=====", True), ("~─—+*_#", True), ("--", False), ("--- a", False)]
)
def test_a_rule_is_a_line_of_three_marks_or_more(line: str, rule: bool) -> None:
    assert (RULE.match(line) is not None) is rule


def test_a_heading_ends_sections_of_its_style_that_are_not_above_it() -> None:
    two = LabelStyle("#", 2)
    assert [two.ends(LabelStyle("#", level)) for level in (1, 2, 3)] == [False, True, True]
    assert not two.ends(LabelStyle("=", 2))
    assert not LabelStyle().ends(LabelStyle())
