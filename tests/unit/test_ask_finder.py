"""The ask in the text parts of a message, and the steps by which it was found."""

from __future__ import annotations

import json

import pytest

from pointsman.routing.ask import NO_ASK, Ask, AskFinder, AskKind

ASK = "How long do I have to file an appeal against a civil judgment?"
UNDO = "How do I undo a commit in a shared git repository?"
TOLD = "The ferry leaves the harbour at nine and it is back at ten. "
DOCUMENT = (TOLD * 5)[:299]
LINE = "x = load(y);\n"
MUCH = f"```\n{LINE * 20}```"
REMINDER = "<system-reminder>\nRead the rules.\n</system-reminder>"


def find(*parts: str) -> Ask:
    return AskFinder().find(parts)


def steps(*parts: str) -> list[tuple[str, str]]:
    """What was done with which part of the message."""
    message = " ".join(parts)
    return [(step.what, message[step.start : step.end].strip()) for step in find(*parts).steps]


# --- kinds and steps ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        pytest.param(ASK, "message", id="a question"),
        pytest.param(f"{REMINDER}\n\n{ASK}", "ask", id="a part"),
        pytest.param(REMINDER, "none", id="nothing of a person"),
        pytest.param("Generate a concise title for this chat. Only the title, no quotes.", "helper_task", id="a task"),
    ],
)
def test_the_kind_tells_how_an_ask_was_found(message: str, kind: str) -> None:
    assert find(message).kind == kind
    assert kind != "helper_task" or find(message) == Ask("", AskKind.HELPER_TASK)


def test_there_are_five_kinds_and_one_of_them_is_stated() -> None:
    assert [str(kind) for kind in AskKind] == ["message", "ask", "stated", "helper_task", "none"]
    assert NO_ASK.text == ""


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(f"{REMINDER}\n\n{ASK}", [("material", REMINDER), ("taken", ASK)], id="a tag"),
        pytest.param(REMINDER, [("material", REMINDER)], id="a tag alone"),
        pytest.param(f"{ASK}\n\n{MUCH}", [("taken", ASK), ("material", MUCH)], id="a fence"),
        pytest.param(
            f"Answer in one sentence.\n\n{MUCH}\n\n{ASK}",
            [("frame", "Answer in one sentence."), ("material", MUCH), ("taken", ASK)],
            id="a frame",
        ),
        pytest.param(
            f"docker port conflict\n\nThe ferry is mine.\n\n> In Graz.\n\nContext:\n{DOCUMENT}\n\nQuestion: {ASK}",
            [
                ("noise", "docker port conflict"),
                ("other", "The ferry is mine."),
                ("small", "> In Graz."),
                ("material", DOCUMENT),
                ("taken", ASK),
            ],
            id="a label",
        ),
        pytest.param(
            f"<user_query>\nContext: x\n\n{ASK}\n</user_query>",
            [("material", "x"), ("taken", ASK)],
            id="material within a tag of the ask",
        ),
        pytest.param(f"<|user|>{ASK}<|assistant|>", [("turn", ASK)], id="a turn"),
        pytest.param(f"Translate into French: {DOCUMENT}", [("taken", "Translate into French"),
                     ("material", f": {DOCUMENT}".strip())], id="an instruction"),
        pytest.param(
            f"{ASK}\n\n{DOCUMENT}\n\nNow answer this: {ASK}", [("taken", ASK)], id="an ask that is said twice"
        ),
    ],
)  # fmt: skip
def test_the_steps_tell_what_each_part_is_and_where(message: str, expected: list[tuple[str, str]]) -> None:
    assert steps(message) == expected


def test_a_payload_is_one_step() -> None:
    message = json.dumps({"context": DOCUMENT, "question": f"Context:\n{DOCUMENT}\n\nQuestion: {ASK}"})
    assert steps(message) == [("json", message)]
    assert find(message).text == ASK
    assert find(json.dumps({"question": REMINDER})).text == REMINDER


def test_of_many_steps_the_first_32_are_told() -> None:
    notes = "\n\n".join([f"<note_{number}>\n{TOLD}\n</note_{number}>" for number in range(40)])
    for message in (notes, f"{ASK}\n\n{notes}", f"{notes}\n\nQuestion: {ASK}"):
        assert len(find(message).steps) == 32


# --- wrappers within wrappers -------------------------------------------------------------------------------------


def test_three_wrappers_are_opened_and_no_fourth() -> None:
    inner = f"<question>\nContext: x\n\n{ASK}\n</question>"
    assert find(inner).text == find(f"<task>\n{inner}\n</task>").text == ASK
    assert find(f"<message>\n<task>\n{inner}\n</task>\n</message>").text == f"Context: x\n\n{ASK}"


def test_several_asks_within_a_wrapper_are_one() -> None:
    asks = f"Question: {ASK}\n\nQuestion: {UNDO}"
    asked = find(f"<user_query>\n{asks}\n</user_query>")
    assert (asked.kind, asked.text, asked.others) == (AskKind.ASK, asks, ())
    assert steps(f"<user_query>\n{asks}\n</user_query>") == [("taken", asks)]


@pytest.mark.parametrize(("pad", "twice"), [(105, False), (106, True)])
def test_in_a_text_of_250_characters_nothing_is_said_twice(pad: int, twice: bool) -> None:
    message = f"{ASK}\n\n{TOLD[:52]}{TOLD}"[: len(ASK) + 2 + pad] + f"\n\nNow answer this: {ASK}"
    assert len(message) == 145 + pad
    assert (steps(message) == [("taken", ASK)]) is twice


@pytest.mark.parametrize(("said", "text"), [("my ferry left", "my ferry left"), ("Ann Lee", "")])
def test_a_person_is_named_by_fewer_words_than_are_said(said: str, text: str) -> None:
    assert find(f"<user>\n{said}\n</user>").text == text


def test_what_is_pasted_is_material_before_and_between_tags() -> None:
    diff, note = "@@ -1 +1 @@\n-<query>\n+<task>", f"<note>\n{TOLD}\n</note>"
    assert steps(f"{ASK}\n\n{diff}\n\n{note}\n\n{diff}") == [
        ("taken", ASK),
        ("material", diff),
        ("material", note),
        ("material", diff),
    ]


@pytest.mark.parametrize(
    ("message", "ask"),
    [
        pytest.param(f"<user>{ASK}</user>", ASK, id="what a person says"),
        pytest.param(f"<user>Ann Lee</user>\n<ask>\n{ASK}\n</ask>", ASK, id="who it is"),
        pytest.param(f"<input>\n{ASK}\n</input>\n\nQuestion: {UNDO}", ASK, id="a tag is surer than a label"),
        pytest.param(f"<x>\n{ASK}\n</x>", ASK, id="a tag without a known name that asks"),
        pytest.param(f"<x>\n{DOCUMENT}\n</x>\n\n{ASK}", ASK, id="one that does not"),
        pytest.param(f"<query><text>\n{ASK}\n</text>\n<lang>\nen\n</lang></query>", ASK, id="a name that says nothing"),
        pytest.param("<text>What is the capital of France?</text>", "", id="such a name alone is no ask"),
        pytest.param(f"<text>\n{UNDO}\n</text>\n\n{ASK}", ASK, id="such a name on its own is material"),
        pytest.param(
            f"<doc>\n{DOCUMENT}\n</doc>\n\n{ASK}\n\n<doc>\n{DOCUMENT}\n</doc>", ASK, id="between two tags of one name"
        ),
        pytest.param(f"@@ -1 +1 @@\n-<query>\n+<task>\n \n\n{ASK}", ASK, id="a diff"),
        pytest.param(f"<user_query>\n“{ASK}”\n</user_query>", ASK, id="quotation marks"),
        pytest.param(f"<user_query>\n{REMINDER}\n</user_query>", REMINDER, id="nothing but material within"),
        pytest.param(f"Ann: it is late\nBob: {ASK}\n\n{MUCH}", ASK, id="a line of a chat"),
        pytest.param(f"{MUCH}\n\n[10:01] ann: late\n[10:02] bob: {ASK}", ASK, id="what is said last in a chat"),
        pytest.param(
            f"# Context\n\n{DOCUMENT}\n\nI have this:\n\nLOAD crane;\n\nIt is stuck.\n\n{ASK}",
            f"I have this:\n\nLOAD crane;\n\nIt is stuck.\n\n{ASK}",
            id="code under a heading of material",
        ),
        pytest.param(
            f"# Context\n\n{DOCUMENT}\n\nUrgent\nState: open\n{ASK}", ASK, id="a field in the paragraph that asks"
        ),
        pytest.param(f"{MUCH}\n\n{ASK[:-1]} :", ASK[:-1], id="a colon at the end"),
        pytest.param(
            f"Quelle est la réponse, et pour qui ?\n\n« I have a ferry.\n\n{ASK} »",
            f"I have a ferry.\n\n{ASK}",
            id="a letter that quotes it",
        ),
        pytest.param(
            f"### Response:\nMira: Hello, Tom.\n\n### Instruction:\nTom: {ASK}\n\n### Response:\nMira:",
            ASK,
            id="a speaker",
        ),
    ],
)
def test_the_ask_is_found_by_what_is_around_and_within(message: str, ask: str) -> None:
    assert find(message).text == ask


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(
            f"Contexte : le guide\n« I have a ferry.\n{ASK} »\n\nQuelle est la durée, et pour qui ?", id="material"
        ),
        pytest.param(f"Quelle est la durée, et pour qui ?\n```\n“I have a ferry.\n{ASK}”\n```", id="code"),
    ],
)
def test_a_quotation_within_material_or_code_is_no_ask(message: str) -> None:
    assert ASK not in find(message).text or find(message).text == message


# --- parts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "ask"),
    [
        pytest.param(["Content of a.md:", UNDO, ASK], ASK, id="a part names the next"),
        pytest.param(["Content of a.md:", "Source:", UNDO, ASK], ASK, id="a label of a label"),
        pytest.param(["Content of a.md:", ASK], ASK, id="the last part is named by none"),
        pytest.param([REMINDER, REMINDER, ASK], ASK, id="several before"),
        pytest.param([ASK, f"```a.txt\n{DOCUMENT}\n```"], ASK, id="a file behind"),
    ],
)
def test_a_label_at_the_end_of_a_part_names_the_next(parts: list[str], ask: str) -> None:
    assert find(*parts).text == ask


def test_what_a_part_names_is_material_and_told() -> None:
    assert steps("Content of a.md:", UNDO, ASK) == [("material", UNDO), ("taken", ASK)]
    assert find("Content of a.md:", " ", UNDO, ASK).text == ASK


def test_an_ask_between_two_tags_of_one_name_is_found_beside_other_parts() -> None:
    between = f"<doc>\n{DOCUMENT}\n</doc>\n\n{ASK}\n\n<doc>\n{DOCUMENT}\n</doc>"
    assert find(between, "Thanks!").text == ASK


def test_json_on_one_line_is_read() -> None:
    assert find(f'{{"question":"{ASK}","n":1}}').text == ASK
    assert find(f'POST /ask\n\n{{"note":"Nine.","question":"{ASK}"}}').text == ASK
    assert find(f'{ASK}\n\n{{"note":"nine","question":"{UNDO}"}}').text.startswith(ASK), "its lead asks"


def test_64_parts_are_looked_at_one_by_one() -> None:
    parts = ["Content of a.md:", UNDO, *["Content of b.md:", LINE] * 30, ASK]
    assert find(*parts, ASK).text.endswith(ASK)
    assert UNDO not in find(*parts).text
    assert UNDO not in find(*parts[:2], *parts).text, "as one text it has one label"


# --- long messages ------------------------------------------------------------------------------------------------


def test_of_a_long_message_the_steps_are_where_they_are_in_the_whole() -> None:
    material = f"<doc>\n{TOLD * 2_000}\n</doc>"
    assert steps(f"{ASK}\n\n{material}\n\n{REMINDER}") == [
        ("taken", ASK),
        ("material", material),
        ("material", REMINDER),
    ]


def test_a_message_of_64_kib_is_looked_at_as_a_whole() -> None:
    before = f"<doc>\n{TOLD * 600}"[: 32 * 1024 - 40] + "\n</doc>\n\n"
    after = f"\n\n<note>\n{TOLD * 600}"[: 64 * 1024 - len(before) - len(ASK) - 8] + "\n</note>"
    assert len(before + ASK + after) == 64 * 1024
    assert find(before + ASK + after).text == ASK


@pytest.mark.parametrize(("around", "seen"), [(255, True), (256, False)])
def test_of_many_lines_the_first_and_the_last_256_are_looked_at(around: int, seen: bool) -> None:
    few, many = "a\n" * around, "a\n" * 512
    for message in (f"{few}Question: {ASK}\n{many}", f"{many}Question: {ASK}\n{few}"[:-1]):
        assert find(message).text.startswith(ASK) is seen


@pytest.mark.parametrize(("beyond", "ask"), [(0, ASK), (1, ASK[:-1])])
def test_of_many_characters_the_first_32_kib_are_looked_at(beyond: int, ask: str) -> None:
    begin = f"<doc>\n{TOLD * 600}"[: 32 * 1024 + beyond - len(ASK) - 18] + f"\n</doc>\nQuestion: {ASK}"
    assert len(begin) == 32 * 1024 + beyond
    assert find(f"{begin}{' ' * 40 * 1024}").text == ask


def test_either_kind_of_patterns_counts_alone() -> None:
    message = f"<doc>\n{ASK}\n</doc>\n\n<task>\n{UNDO}\n</task>"
    assert find(message).text == UNDO
    assert AskFinder(take=["<doc>"]).find([message]).text == ASK
    assert AskFinder(strip=["<task>"]).find([message]).kind is AskKind.NONE
