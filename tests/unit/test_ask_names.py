"""What the name of a tag, a label or a heading says about what it names."""

from __future__ import annotations

import pytest

from pointsman.routing.ask import AskFinder
from pointsman.routing.ask.names import GUESS, PartRole, RankedRole, may_name, name_of, with_patterns, words_of


def role(name: str, *, free: bool) -> str:
    """What a name says: "ask 3" is an ask of rank 3."""
    found = name_of(name, free)
    return "none" if found is None else found.role.value + (f" {found.rank}" if found.rank else "")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("user_query", ["user", "query"]),
        ("userQuery", ["user", "query"]),
        ("XMLDocument", ["xml", "document"]),
        ("USER-QUERY 2", ["user", "query"]),
        ("Question(s) (optional)", ["question"]),
        ("Question about docs/how.to by a@b.org", ["question", "about", "by"]),
        ("«प्रश्न» 2", ["प्रश्न"]),
        ("Frage_für_später", ["frage", "für", "später"]),
        ("ПредыдущийВопрос 2", ["предыдущийвопрос"]),
        ("q " + "c" * 58, ["q", "c" * 58]),
        ("qq " + "c" * 58, ["q", "c" * 58]),
    ],
)
def test_a_name_has_words_in_each_way_of_writing(name: str, words: list[str]) -> None:
    """Of one that is longer than 60 characters, the last ones count."""
    assert words_of(name) == tuple(words)


@pytest.mark.parametrize(
    ("name", "free", "said"),
    [
        # by the last word, the surest kind first
        ("Question", "ask 3", "ask 3"),
        ("The user's message", "ask 2", "ask 2"),
        ("Instruction", "ask 1", "ask 1"),
        ("Input", "ask", "ask"),
        ("Context", "other", "other"),
        ("user_query", "ask 3", "ask 3"),
        ("user_message", "ask 2", "ask 2"),
        ("user_instruction", "ask 2", "ask 2"),
        ("user_input", "ask 1", "ask 1"),
        ("Context of the question", "ask 3", "ask 3"),
        ("Comments on the question", "other", "ask 3"),
        ("We work on the question", "ask 3", "ask 3"),
        ("These are the solutions to the question", "other", "ask 3"),
        # names that mislead
        ("Q", "ask 3", "ask 3"),
        ("A", "answer", "answer"),
        ("Arguments", "ask", "ask"),
        ("Original requirements", "ask 2", "ask 2"),
        ("error_message", "other", "other"),
        # speakers, and answers
        ("User", "user 2", "user 2"),
        ("The user wrote", "user 2", "user 2"),
        ("Customer says", "user 2", "user 2"),
        ("Client said", "user 2", "user 2"),
        ("What the user", "none", "none"),
        ("Answer", "answer", "answer"),
        ("The given answer", "answer", "answer"),
        ("The last given answer", "other", "other"),
        # other scripts
        ("我的问题", "ask 3", "ask 3"),
        ("参考资料", "other", "other"),
        ("вопрос", "ask 3", "ask 3"),
        ("今天", "none", "none"),
        # free text ends at the first word that is not known
        ("Question bank", "none", "ask 3"),
        ("Question of the user", "ask 3", "ask 3"),
        ("Question of the customer", "ask 3", "ask 3"),
        ("Question of the other user", "none", "ask 3"),
        ("Answers given", "none", "none"),
        ("Question and answer here", "none", "none"),
        ("3", "none", "none"),
        # who sent it, and what it is for
        ("Message from Anna", "ask 2", "ask 2"),
        ("Answer from Anna", "answer", "none"),
        ("Summary by Anna", "other", "other"),
        ("From the question", "ask 3", "ask 3"),
        ("By the question", "ask 3", "ask 3"),
        ("Documents for your question", "other", "ask 3"),
        ("Notes about my question", "other", "ask 3"),
        ("Document question", "ask 3", "ask 3"),
        ("A request for the documents", "other", "other"),
        ("Soup for the question", "ask 3", "ask 3"),
        # one of several messages
        ("Question 2", "user 3", "ask 3"),
        ("Document 2", "other", "other"),
    ],
)  # fmt: skip
def test_the_words_of_a_name_tell_a_role(name: str, free: str, said: str) -> None:
    """In free text, such as before a colon, and as the name of a tag or heading."""
    assert (role(name, free=True), role(name, free=False)) == (free, said)


@pytest.mark.parametrize(
    "name",
    ["質問", "问题", "問題", "提问", "질문", "سؤال", "प्रश्न", "คำถาม", "请求", "需求", "依頼", "요청"],
)
def test_an_ask_is_named_in_scripts_without_spaces(name: str) -> None:
    assert role(name, free=True) == "ask 3"


def test_what_only_looks_like_an_ask_counts_least() -> None:
    assert GUESS.rank < RankedRole(PartRole.ASK).rank == 0


@pytest.mark.parametrize(
    "text",
    [
        "My question", "Q", "The user said", "the context", "USER", "userQuestion", "user_query", "notes_2",
        "Document 3", "**Question**", "A letter from Anna Lee", "A summary by Anna Lee", "Question(s)", "Documents (X)",
        "質問", "", "Content of docs/a.md", "tool_call", "(arguments)", "Content of src/" + "a" * 23,
    ],
)  # fmt: skip
def test_a_name_may_end_before_a_colon(text: str) -> None:
    assert may_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "I know that it snows", "Anna", "x = [1, y", "the model X", "myAnna", "the file <a", "an apple_2", "«{x",
        'print("(x', "${(x", "the case|(x", "a>(x", "b=(x", "content of src/" + "a" * 24,
    ],
)  # fmt: skip
def test_no_name_ends_before_most_colons(text: str) -> None:
    """Of the last word, 24 characters are looked at."""
    assert not may_name(text)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("<note>", "note", True),
        ("<note>", "Note ", True),
        ("<note>", "notes", False),
        ("<Note*>", "notes", True),
        ("<*note>", "a note", True),
        ("<*note>", "a notes", False),
        ("<note*>", "a note", False),
        ("<n*e>", "note", True),
        ("<n*e>", "ne", True),
        ("<*a*b>", "ab", True),
        ("<a*bc*cd>", "abcd", False),
        ("<no*ot>", "not", False),
        ("<a*bc*d>", "axbcxd", True),
        ("<a*bc*d>", "axbxcd", False),
        ("<a*bc*d>", "abcd", True),
        ("<ab*bc*cd>", "abcd", False),
        ("<a*b*b*c>", "abc", False),
        ("<a*b*b*c>", "abbc", True),
        ("<a*b*c*d>", "acbd", False),
        ("<a*>", "a" + "b" * 59, True),
        ("<a*>", "a" + "b" * 60, False),
    ],
)
def test_a_pattern_matches_names_with_anything_for_its_stars(pattern: str, name: str, matches: bool) -> None:
    """Of a name, the last 60 characters are looked at."""
    assert (with_patterns([], [pattern])(name, True) == RankedRole(PartRole.ASK, 5)) is matches


def test_patterns_count_more_than_the_built_in_names_and_those_that_take_most() -> None:
    found = with_patterns(["<question>", "<x*>"], ["<xy>"])
    assert found("question", False) == (PartRole.OTHER, 5)
    assert found("xy", False) == (PartRole.ASK, 5)
    assert found("xz", False) == (PartRole.OTHER, 5)
    assert found("Question bank", False) == (PartRole.ASK, 3)
    assert found("Question bank", True) is None


def test_a_pattern_may_be_a_label_of_words_that_are_not_known() -> None:
    finder = AskFinder(strip=["Zettel:"], take=["Anliegen von Anna:"])
    asked = finder.find(["Zettel: Was kostet die Suppe heute?\n\nAnliegen von Anna: Wer haftet für den Schaden?"])
    assert asked.text == "Wer haftet für den Schaden?"
