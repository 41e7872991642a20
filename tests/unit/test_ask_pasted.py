"""Diffs, sessions of a shell, mails in HTML and what is said twice are found by their form."""

from __future__ import annotations

import pytest

from pointsman.routing.ask.pasted import of_html, pasted, relayed, said_twice

ASK = "How do I moor a ferry?"
NINE = "The ferry leaves at nine."
DIFF = "diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n \n\\ No newline at end of file"
HUNK = "@@ -1,2 +1,2 @@ def moor():\n-    one\n+    two\n     three"


@pytest.mark.parametrize("begin", ["<html>", "<!DOCTYPE html>", "<head>", "<body>", "<p class='x'>", " \n<p>"])
def test_a_mail_in_html_is_read_without_its_tags_and_keeps_its_length(begin: str) -> None:
    text = f"{begin}<div>How do I <b>moor</b> it, if 1 < 2?<br/></div>"
    plain = of_html(text)
    assert len(plain) == len(text)
    assert plain.split() == ["How", "do", "I", "moor", "it,", "if", "1", "<", "2?"]
    assert plain[plain.index("How") - 1] == "\n" == plain[plain.index("?") + 1]


@pytest.mark.parametrize("text", [f"Fix <p>{ASK}</p>", f"<question>{ASK}</question>", "<pre>a</pre>"])
def test_other_text_keeps_its_tags(text: str) -> None:
    assert of_html(text) == text


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(DIFF, id="of git"),
        pytest.param(HUNK, id="a hunk alone"),
        pytest.param(f"--- x\n+++ x\n{HUNK}", id="of diff"),
        pytest.param("diff --git a/x b/x\nnew file mode 100644\n+one", id="a new file"),
        pytest.param("diff --git a/x b/x\ndeleted file mode 100644\n-one", id="a deleted one"),
    ],
)
def test_a_diff_ends_at_the_first_line_of_no_diff(piece: str) -> None:
    text = f"{ASK}\n\n{piece}\n\n{ASK}\n\n{piece}\n{ASK}"
    begin = len(ASK) + 2
    other = text.index(piece, begin + len(piece))
    assert pasted(text) == [(begin, begin + len(piece)), (other, other + len(piece))]


@pytest.mark.parametrize(
    ("session", "end"),
    [
        pytest.param(f"ann@host:~/a$ ls\n{NINE}\nann@host:~$ pwd\n/home", "pwd", id="of a user"),
        pytest.param("root@host:/# ls\na\nroot@host:/# pwd\n/", "pwd", id="of root"),
        pytest.param("ann@host:~$ ls\nx\nann@host:~$ pwd\ny\nann@host:~$ df\nz", "df", id="of three commands"),
    ],
)
def test_a_session_is_from_a_shells_first_prompt_to_its_last_one(session: str, end: str) -> None:
    text = f"{ASK}\n{session}\n{ASK}"
    begin = len(ASK) + 1
    assert pasted(text) == [(begin, text.index(end) + len(end))]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"ann@host:~$ ls\n{NINE}", id="one prompt"),
        pytest.param(f"ann@host:~$ ls\n{NINE}\nbob@host:~$ ls", id="prompts of two shells"),
        pytest.param(f"I mailed a@b.org: {NINE}", id="an address"),
        pytest.param(f"ann@host:~{'/a' * 50}$ ls\n\nann@host:~{'/a' * 50}$ pwd", id="a long folder"),
        pytest.param(f"At 5 $ a mile\n# {NINE}", id="prices"),
    ],
)
def test_what_does_not_come_back_to_its_prompt_is_no_session(text: str) -> None:
    assert pasted(text) == []


def test_sessions_and_diffs_are_told_in_their_order() -> None:
    session = "ann@host:~$ git diff\nx\nann@host:~$ pwd"
    text = f"{session}\n\n{HUNK}"
    assert pasted(text) == [(0, len(session)), (len(session) + 2, len(text))]


def test_of_very_many_prompts_the_rest_is_left_alone() -> None:
    assert pasted("ann@host:~$ a\n" * 300) == [(0, 256 * 14 - 1)]


# --- said twice -----------------------------------------------------------------------------------------------------

WITHIN = "Your part is step 1, "


def repeated(before: str, *, ask: str = ASK, within: str = WITHIN, behind: str = " Begin.") -> str | None:
    """What is found of a text whose end repeats the ask."""
    text = f"{before}{ask}\n\n{NINE}\n\n{within}{ask}{behind}"
    found = said_twice(text)
    return None if found is None else text[: found[1]][found[0] :]


@pytest.mark.parametrize(
    "before",
    [
        pytest.param("", id="the first line"),
        pytest.param("1. ", id="behind a number"),
        pytest.param("The plan:\n- **", id="behind marks"),
        pytest.param("The plan:\n" * 7, id="the eighth line"),
        pytest.param("x" * 1979 + "\n", id="the end of the beginning"),
    ],
)
def test_a_line_that_the_end_repeats_behind_words_of_its_own_is_the_ask(before: str) -> None:
    assert repeated(before) == ASK


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param(repeated("The plan:\n" * 8), None, id="a later line"),
        pytest.param(repeated("x" * 1980 + "\n"), None, id="what is cut"),
        pytest.param(repeated("", within="Now: "), None, id="one word before it"),
        pytest.param(repeated("", within=f"{NINE}\n"), None, id="nothing on its line"),
        pytest.param(repeated("", ask=NINE), None, id="no ask"),
        pytest.param(repeated("", ask="My ferry is at nine"), None, id="a short one"),
        pytest.param(repeated("", ask="My ferry is at nine."), "My ferry is at nine.", id="the shortest"),
        pytest.param(repeated("", behind=" " * 1973), ASK, id="two words before it at the beginning of the end"),
        pytest.param(repeated("", behind=" " * 1974), None, id="words of its own before the end"),
    ],
)
def test_what_the_end_does_not_repeat_is_not_taken_for_the_ask(text: str | None, found: str | None) -> None:
    assert text == found


def test_lines_that_the_end_repeats_too_belong_to_the_ask() -> None:
    ask = f"{ASK}\nI have no rope.\n"
    assert said_twice(f"{ask}{NINE}\n{WITHIN}{ask}Begin.") == (0, len(ask))


def test_what_is_said_once_is_not_said_twice() -> None:
    assert said_twice(f"{ASK}\n\n{NINE}") is None
    assert said_twice(f"Now tell me this, {ASK}") is None
    assert said_twice(f"{ASK}\nNow tell me this, {ASK}") == (0, len(ASK))


# --- relayed --------------------------------------------------------------------------------------------------------

LETTER = "Bonjour,\n\nune cliente a laissé la question ci-dessous. Peux-tu lui répondre ?"
BRIEF = f"I have a ferry.\n\n- it is new\n- it is red\n\n{ASK}"


def quoted(text: str) -> str | None:
    found = relayed(text)
    return None if found is None else text[found[0] : found[1]].strip()


@pytest.mark.parametrize("marks", ["« {} »", "“{}”", "„{}“", "« {} » ."])
@pytest.mark.parametrize("behind", ["", "\n\nMerci et bonne journée,\nÉlodie"])
def test_a_letter_in_another_language_passes_on_what_it_quotes(marks: str, behind: str) -> None:
    assert quoted(f"{LETTER}\n\n{marks.format(BRIEF)}{behind}") == BRIEF


@pytest.mark.parametrize("ask", [f"{ASK} {'x' * 225}", "I want a ferry.\nIt is to be red."])
def test_so_it_does_with_a_long_line_and_with_what_somebody_wants(ask: str) -> None:
    assert quoted(f"{LETTER}\n\n« {ask} »") == ask


def test_so_does_what_follows_the_quotation() -> None:
    assert quoted(f"« {BRIEF} »\n\nPeux-tu lui répondre, et une fois pour toutes ?") == BRIEF


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"Hello,\n\nthis was left for us.\n\n« {BRIEF} »", id="a letter in English"),
        pytest.param(f"{LETTER}\n\n« {BRIEF} »\n\nThank you for your help with this.", id="English behind it"),
        pytest.param(f"{LETTER}\n\n« {NINE} »", id="it does not ask"),
        pytest.param(
            f"{LETTER}\n\n« Quelle est la différence entre une barque et un bac ?\nEt pour qui ? »", id="no English"
        ),
        pytest.param(f"{LETTER[:-1]} :\n\n« {BRIEF} »", id="behind a colon"),
        pytest.param(f"{LETTER}\n\n« We may end it.\nMy ferry is mine. »", id="a contract"),
        pytest.param(f'{LETTER}\n\n"{BRIEF}"', id="the marks of a keyboard"),
        pytest.param(f"{LETTER} « {BRIEF} »", id="it begins within a line"),
        pytest.param(f"{LETTER}\n\n« {BRIEF}", id="it does not end"),
        pytest.param(f"\n{LETTER * 4}\n\n« {BRIEF}", id="it does not end, nor does the first line begin"),
        pytest.param(f"{LETTER}\n\n{BRIEF}", id="no marks"),
        pytest.param(f"« {BRIEF} »", id="nothing around"),
        pytest.param(f"{LETTER}\n\n« {(NINE + chr(10) * 2) * 6}{ASK} »", id="it asks in its seventh paragraph"),
    ],
)
def test_other_quotations_are_left_where_they_stand(text: str) -> None:
    assert quoted(text) is None
