"""The first lines of a block tell prose from code, logs, quotes and tables."""

from __future__ import annotations

import pytest

from pointsman.routing.ask.forms import BlockForm, form_of, looks_asked

ASK = "How do I moor a ferry?"
NINE = "The ferry leaves at nine"
MATERIAL = {
    BlockForm.LOG: (
        "2024-05-01 12:00:01 started",
        "[2024/05/01 12:00:01] started",
        "01/05/24, 12:00 - Ann: hello",
        "12:30 Ann joined",
        "May  1 12:00:01 host sshd[1]: started",
        "10.0.0.1 - - [01/May/2024] GET /",
        "WARNING disk is nearly full",
        "Traceback (most recent call last):",
        "at org.acme.Ferry.sail(Ferry.java:12)",
        'File "ferry.py", line 3, in sail',
        "ann@host:~/ferry$ make",
        "$ make install",
        "PS C:\\Users\\ann> dir",
        "drwxr-xr-x 2 ann ann 4096 May  1 12:00 ferry",
        "total 12",
        "===== 3 passed in 0.1s",
        "tests/test_ferry.py ..F. [ 40%]",
        "E       assert 1 == 2",
        "src/ferry.c:12: warning: unused variable",
    ),
    BlockForm.CODE: (
        "}",
        "return knots;",
        "knots += 1;",
        "class Ferry {",
        "import { moor } from './moor';",
        "def sail(self):",
        "let x = [",
        "let path = a\\",
        "let x = f(",
        "let x: Vec<u8>",
        "let x = a[0]",
        "let x = f(a)",
        "let x =",
        "const a = 1,",
        "</div>",
        "<path d of a ferry in blue>",
        "// moor(ferry)",
        "diff --git a/x b/x",
        "index 3f2a1bc..9d8e7f6 100644",
        "@@ -1,2 +1,3 @@",
        "+++ b/ferry.py",
        "--- a/ferry.py",
        "+knots",
        "-knots",
        "+",
        "+    knots",
        "{",
        '["a", 1]',
        '"knots" : 12',
        "}]",
    ),
    BlockForm.QUOTE: ("> The ferry leaves at nine.",),
    BlockForm.PROSE: (
        f"{NINE}.",
        "Class is over (at nine);",
        "Import the ferry, please,",
        "Return it now!",
        "Let me see (soon)",
        "let me see",
        "let me see X",
        "sail at nine :",
        "- moor it",
        "the ferry (at nine)",
        "<p>The ferry leaves at nine today</p>",
        "<div>The ferry leaves at nine, says Ann>",
        "<br>The ferry leaves at nine, says Ann>",
        "<span>The ferry leaves at nine, says Ann>",
        "<li>The ferry leaves at nine, says Ann>",
        "PS I moor it at nine",
        "total fares",
        "@ann moor it",
    ),
}


@pytest.mark.parametrize("form", MATERIAL, ids=lambda form: form.name)
def test_a_line_has_the_form_of_what_it_begins_and_ends_with(form: BlockForm) -> None:
    for line in MATERIAL[form]:
        assert form_of([line]) is form, line


@pytest.mark.parametrize(
    ("lines", "form"),
    [
        pytest.param([NINE, NINE], BlockForm.PROSE, id="prose"),
        pytest.param(["“" + "x" * 150, "y" * 99 + "”"], BlockForm.QUOTE, id="a long quotation"),
        pytest.param(["“" + "x" * 150, "y" * 98 + "”."], BlockForm.QUOTE, id="one with a full stop behind it"),
        pytest.param(["“" + "x" * 150, "y" * 98 + "”"], BlockForm.PROSE, id="a short quotation"),
        pytest.param(["“" + "x" * 150, "y" * 150], BlockForm.PROSE, id="no end of a quotation"),
        pytest.param(["“" + "x" * 150, "y" * 150 + "”X"], BlockForm.PROSE, id="a line behind the end of a quotation"),
        pytest.param(["X" * 150, "X" * 150], BlockForm.PROSE, id="long lines"),
        pytest.param(["x" * 150, "“" + "y" * 150 + "”"], BlockForm.PROSE, id="no beginning of a quotation"),
        pytest.param(["a,b,c,d"] * 3, BlockForm.TABLE, id="a table with commas"),
        pytest.param(["a|b|c|d"] * 3, BlockForm.TABLE, id="a table with bars"),
        pytest.param(["a,b,c,d"] * 2, BlockForm.PROSE, id="two rows"),
        pytest.param(["a,b,c"] * 3, BlockForm.PROSE, id="few commas"),
        pytest.param(["a|b|c"] * 3, BlockForm.PROSE, id="few bars"),
        pytest.param(["a\tb"] * 3, BlockForm.PROSE, id="few tabs"),
        pytest.param(["a, b, c, d, e"] * 3, BlockForm.PROSE, id="the commas of sentences"),
        pytest.param(["a|b|c|d"] * 3 + [NINE], BlockForm.PROSE, id="a table and a line"),
        pytest.param(["ann@host:~/a$ ls", NINE, NINE, NINE], BlockForm.LOG, id="a prompt and what it printed"),
        pytest.param(["PS C:\\> dir", NINE, NINE, NINE], BlockForm.LOG, id="one of PowerShell"),
        pytest.param([NINE, NINE, NINE, "ann@host:~/a$ ls"], BlockForm.PROSE, id="a prompt at last"),
        pytest.param(["12:30 Ann joined", NINE, NINE], BlockForm.PROSE, id="one line of a log"),
        pytest.param(["> " + NINE, "> " + NINE, NINE], BlockForm.QUOTE, id="mostly quoted"),
        pytest.param(["> " + NINE, NINE], BlockForm.PROSE, id="half quoted"),
        pytest.param(["12:30 a", "12:31 b", NINE], BlockForm.LOG, id="mostly a log"),
        pytest.param(["12:30 a", "12:31 b", NINE, NINE], BlockForm.PROSE, id="half a log"),
        pytest.param(["x = y;", "y = z;", NINE, NINE, NINE, NINE], BlockForm.CODE, id="two lines of code"),
        pytest.param(["x = y;", NINE, NINE], BlockForm.PROSE, id="one line of code"),
        pytest.param(["12:30 a", "x = y;", NINE], BlockForm.LOG, id="a line of a log and one of code"),
        pytest.param(["12:30 a", "x = y;", NINE, NINE], BlockForm.PROSE, id="the same among as much prose"),
        pytest.param(["Port: Graz", "Fare: 12", "Berth: 3"], BlockForm.KEYS, id="keys"),
        pytest.param(["Port: Graz", "Fare: 12", "Berth: 3", NINE], BlockForm.KEYS, id="keys and a line"),
        pytest.param(["Port: Graz", "Fare: 12", "Berth: 3", NINE, NINE], BlockForm.PROSE, id="keys and two lines"),
        pytest.param(["Port: Graz", NINE, NINE], BlockForm.PROSE, id="one key"),
    ],
)  # fmt: skip
def test_most_of_the_lines_tell_the_form_of_a_block(lines: list[str], form: BlockForm) -> None:
    assert form_of(lines) is form


LOG = "12:30 Ann joined\n"


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        pytest.param(ASK, True, id="a question"),
        pytest.param(f"\n {ASK} \n", True, id="space around it"),
        pytest.param(NINE, False, id="a statement"),
        pytest.param("My ferry leaves at nine. How far is it from here to there.", False, id="a weak sign"),
        pytest.param(ASK + "x" * 1977 + "?", True, id="the longest"),
        pytest.param(ASK + "x" * 1978 + "?", False, id="a longer one"),
        pytest.param(f"{NINE}\n\n" * 5 + ASK, True, id="the sixth paragraph asks"),
        pytest.param(f"{NINE}\n\n" * 6 + ASK, False, id="the seventh asks"),
        pytest.param(f"{NINE}.\n\nExplain {'tides ' * 50}\n\n{NINE}.", True, id="a paragraph between asks"),
        pytest.param(f"{NINE}.\nExplain {'tides ' * 50}\n{NINE}.", False, id="a line within a paragraph does not"),
        pytest.param(f"{LOG * 6}\n{ASK}", False, id="a log that asks"),
        pytest.param(f"{NINE}\n\n{LOG * 3}\n{ASK}", False, id="a log after a line"),
        pytest.param(f"{NINE}\n" * 4 + f"{{\n}}\n\n{ASK}", False, id="code on the sixth line"),
        pytest.param(f"{NINE}\n" * 5 + f"{{\n}}\n\n{ASK}", True, id="code on the seventh line"),
        pytest.param(f"{LOG}\n\n{LOG}\n{ASK}", False, id="blank lines are no lines"),
    ],
)
def test_a_short_text_looks_asked_if_one_of_its_first_paragraphs_asks(text: str, asked: bool) -> None:
    assert looks_asked(text) is asked
