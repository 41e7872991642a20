"""The wording of docstrings in the daemon and the exporter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A docstring with such a first word is a clause without a verb. Functions begin with an imperative verb ("Return the
# ..."), classes, modules and attributes say what they are ("A bounded cache of ...").
QUESTION = re.compile(r'^[ \t]*[rR]?"""\s*(?:What|Who|Whose|Whom|How|Where|Which|Whether|When|Why)\b.*', re.MULTILINE)


def questions(text: str) -> list[str]:
    return [found.strip() for found in QUESTION.findall(text)]


def modules() -> Iterator[Path]:
    for folder in ("daemon", "export"):
        yield from (ROOT / folder).rglob("*.py")


def test_no_docstring_begins_with_a_question_word() -> None:
    found = {str(path.relative_to(ROOT)): questions(path.read_text("utf-8")) for path in modules()}
    assert len(found) > 100
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize("docstring", ['"""What is kept."""', '    r"""Whether it is on."""', '"""\nHow it ends.\n"""'])
def test_a_question_word_is_found(docstring: str) -> None:
    assert len(questions(f"def part() -> None:\n{docstring}\n")) == 1


@pytest.mark.parametrize("docstring", ['"""Whatever the answer is."""', '"""Return what is kept."""', 'x = """What"""'])
def test_other_beginnings_are_allowed(docstring: str) -> None:
    assert questions(f"def part() -> None:\n    {docstring}\n") == []
