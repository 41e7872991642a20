"""Which lines of a message are labels or headings, what they name, and where that begins."""

from __future__ import annotations

import pytest

from pointsman.routing.ask.labels import SectionLabel, label_in
from pointsman.routing.ask.names import name_of


def shown(label: SectionLabel | None, line: str) -> str:
    """A label as "what it names | the text before it | the text behind it | its style"."""
    if label is None:
        return "none"
    name, style = label.name, label.style
    role = "end" if name is None else name.role.value + (f" {name.rank}" if name.rank else "")
    flags = [flag for flag in ("sentence", "inline", "unknown") if getattr(style, flag)]
    mark = style.mark + (str(style.level) if style.level else "")
    return " | ".join([role, line[: label.begin], line[label.content :], " ".join([mark, *flags]).strip()])


def read(line: str) -> str:
    return shown(label_in(line, line.strip(), name_of), line)


@pytest.mark.parametrize(
    ("line", "label"),
    [
        ("Question: What is a tort?", "ask 3 |  | What is a tort? | inline"),
        ("Q: What is a tort?", "ask 3 |  | What is a tort? | inline"),
        ("Context:", "other |  |  | "),
        ("Answer: It is.", "answer |  | It is. | inline"),
        ("**Question:** What?", "ask 3 |  | What? | inline"),
        ("Question:\tWhat?", "ask 3 |  | What? | inline"),
        ("_Question: _What?", "ask 3 |  | What? | inline"),
        ("Question:\r", "ask 3 |  |  | "),
        ("1) Question: What?", "ask 3 |  | What? | inline"),
        ("質問：何ですか", "ask 3 |  | 何ですか | inline"),
        ("質問：a: b", "ask 3 |  | a: b | inline"),
        ("Question: a：b", "ask 3 |  | a：b | inline"),
        ("XML output: see [a](b)", "other |  | see [a](b) | inline"),
        # what follows in the next lines
        ("question: |", "ask 3 |  |  | "),
        ("question: |-", "ask 3 |  |  | "),
        ("question: >", "ask 3 |  |  | "),
        ("question: >-\r", "ask 3 |  |  | "),
        ("File: notes.txt", "other |  |  | "),
        ("File: .env", "other |  |  | "),
        ("Question: notes.txt", "ask 3 |  | notes.txt | inline"),
        # the end of a sentence
        ("I rent a flat. Here is my question: may he?", "ask 3 | I rent a flat.  | may he? | sentence inline"),
        ("Read this! It is the context:", "other | Read this!  |  | sentence"),
        ("I read it. Context: soup", "none"),
        ("Read it, then answer: who pays?", "ask 2 | Read it,  | who pays? | sentence inline"),
        ("Now answer this: who pays?", "ask 2 |  | who pays? | inline"),
        ("A very short first question: may he?", "ask 3 |  | may he? | sentence inline"),
        ("Here is my question : may he?", "ask 3 |  | may he? | inline"),
        ("I have x: a: b. Question: c", "ask 3 | I have x: a: b.  | c | sentence inline"),
        ("I have x: a: b: c. Question: d", "ask 3 | I have x: a: b: c.  | d | sentence inline"),
        ("I have x: a: b: c: d. Question: e", "none"),
        ("http://x.org is down. Question: why?", "ask 3 | http://x.org is down.  | why? | sentence inline"),
        ("On Monday, Ann <ann@example.com> wrote:", "other |  |  | sentence"),
        ("Ann <ann@example.com> said: hi", "none"),
        ("Ann at example.com (ann@example.com) asks:", "ask 3 |  |  | sentence"),
        ("When a<b, this is the question:", "ask 3 | When a<b,  |  | sentence"),
        # quoted within a sentence
        ('The question is "What is a tort?"', 'ask 2 | The  | "What is a tort?" | sentence inline'),
        ('It is "it". My REQUEST is "Help."', 'ask 2 | It is "it". My  | "Help." | sentence inline'),
        ("My problem is 'why'", "ask 2 | My  | 'why' | sentence inline"),
        ('The subquestion is "why"', "none"),
        ('My cat is "Tom"', "none"),
        # no labels
        ("Question bank here: math", "none"),
        ("Respond to: why?", "ask 2 |  | why? | inline"),
        ("Requirements: it must fit", "none"),
        ("Example: a soup", "none"),
        ("Requirement: it must fit", "ask 1 |  | it must fit | inline"),
        ("Example output: a soup", "other |  | a soup | inline"),
        ("Address: 5 Main Street", "none"),
        ("def ask(self):", "none"),
        ("Question(s): why?", "ask 3 |  | why? | inline"),
        ("| question: why |", "none"),
        ("> question: why", "none"),
        ("{question: why", "none"),
        ("[Question: a](http://b.org)", "none"),
        ("![Context: a](b.png)", "none"),
        ("(Question: a](b", "ask 3 |  | a](b | inline"),
        ("    question: x,", "none"),
        ("\tquestion: x = y", "none"),
        ("  question: how fast is the Model X", "ask 3 |  | how fast is the Model X | inline"),
        ("question: x = y,", "ask 3 |  | x = y, | inline"),
    ],
)
def test_a_label_stands_before_a_colon(line: str, label: str) -> None:
    """It is alone at the line's beginning, or the end of a sentence, of which four colons are looked at."""
    assert read(line) == label


@pytest.mark.parametrize(
    ("line", "label"),
    [
        ("# Question", "ask 3 |  |  | #1"),
        ("###### Question", "ask 3 |  |  | #6"),
        ("#: Question", "ask 3 |  |  | #1"),
        ("## Question Bank", "ask 3 |  |  | #2"),
        ("## **Context:**", "other |  |  | #2"),
        ("h2. Question", "ask 3 |  |  | #2"),
        ("=== Question", "ask 3 |  |  | #3"),
        ("== Question ==", "ask 3 |  |  | ="),
        ("#question", "none"),
        ("#X question", "none"),
        ("## Question 2:", "ask 3 |  |  | #2"),
        ("#", "none"),
        ("# What the question is.", "none"),
        ("# Soups of Model X", "other |  |  | #1 unknown"),
        ("# Question: why?", "ask 3 |  | why? | #1"),
        ("# Question: how do I read a file?", "ask 3 |  | how do I read a file? | #1"),
        ("# Step 2: the context", "other |  |  | #1"),
        ("# Read it. Then answer this: why?", "ask 2 |  | why? | #1"),
        ("    # Then answer this: why?", "none"),
        ("\t# Then answer this: why?", "none"),
        ("    # Now answer this:", "ask 2 |  |  | #1"),
        ("   # Then answer this: why?", "ask 2 |  | why? | #1"),
    ],
)
def test_a_heading_has_a_level(line: str, label: str) -> None:
    assert read(line) == label


@pytest.mark.parametrize(
    ("line", "label"),
    [
        ("--- Context ---", "other |  |  | -"),
        ("--- QUESTION ---:", "ask 3 |  |  | -"),
        ("**Question**", "ask 3 |  |  | *"),
        ("[Question]", "ask 3 |  |  | ["),
        ("  [Question] ", "ask 3 |  |  | ["),
        ("**Question: why is it cold?**", "ask 3 |  | why is it cold?** | inline"),
        ("[[Question]]", "ask 3 |  |  | ["),
        ("<<Question>>", "ask 3 |  |  | <"),
        ("<!-- Question -->", "ask 3 |  |  | <"),
        ("【質問】", "ask 3 |  |  | 【"),
        ("__Context__", "none"),
        ("[Question bank]", "other |  |  | [ unknown"),
        ("[Soup]", "other |  |  | [ unknown"),
        ("[Soup] Question: why?", "ask 3 |  | why? | inline"),
        ("USER QUESTION", "ask 3 |  |  | A"),
        ("> CONTEXT <", "other |  |  | A"),
        ("2. REQUEST", "ask 2 |  |  | 1"),
        ("IV) SOUP", "other |  |  | 1 unknown"),
        ("SOUP", "other |  |  | A unknown"),
        ("THE SOUP IS TO: 7", "none"),
        ("CONTEXT:", "other |  |  | "),
        ("[BEGIN CONTEXT]", "other |  |  | ["),
        ("--- Start of the question ---", "ask 3 |  |  | -"),
        ("[Question follows]", "ask 3 |  |  | ["),
        ("--- context begins ---", "other |  |  | -"),
        ("[END CONTEXT]", "end |  |  | ["),
        ("END OF THE CONTEXT", "end |  |  | A"),
        ("--- context ends ---", "end |  |  | -"),
        ("--- context end ---", "end |  |  | -"),
    ],
)
def test_a_line_set_off_as_a_whole_is_a_label(line: str, label: str) -> None:
    assert read(line) == label
