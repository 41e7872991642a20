"""Texts that may cost the readers of messages more than their length: made of the marks that these readers know.

Marks come from the readers themselves (what their patterns match, their strings without letters, a name of each role),
so that a new one is tried without being listed, and from a table of forms that span lines.
"""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import re
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from pointsman.improve import redaction
from pointsman.routing import ask
from pointsman.routing.ask import names, words
from support import attacks

FORMS = (
    # Words, and their ends.
    *("a", "  ", "\n", "\n\n", "é", "a? ", "a! ", "a, ", "why do a? ", "how do I do this?\n\n", "A B C\n"),
    # Tags and fences, whole and without an end.
    *("<x ", "<a>\n", "</a>\n", "[/a]", "[a END]", "```\n", "```a* ", "```a.b\n", "a: ```a\n", "x '''\n", '"""a'),
    # Headings, rules, frames, lists, tables, comments, quotes.
    *("# a\n", "# Question: ", "h2. a\n", "a\n===\n", "---\n", "--\n", "BEGIN A\n", "END A\n", "1. A\n", "- a\n"),
    *("a,a,a,a\n", "| a | a |\n", "<!-- a\n", "> a\n", "> > ", '"a" ', "«a» ", "[a](b) "),
    # Labeled lines, forms, transcripts, mails, sessions, logs, diffs, code, JSON.
    *("key: why do b?\n", "**a:** b\n", "Context:\n", "Question:\na\n", "User: a\nAI: a\n", "[a] 12:00 a: a\n"),
    *("On a, b <b@c> wrote:\n", "a@b:~$ x\n", "12:00 INFO a\n", "@@ -1\n+a\n", "a = 1;\n", "x(", "def a():\n"),
    *('{"a":', '{"question":"why do a?"}', "[[", '"a", ', '{"role":'),
    # Instructions: to do something with a text, to answer in a form, for a program.
    *("Summarize this: ", "I want you to act as a ", "Answer only a. ", "Observation: a\n", "(see below for a) "),
)
JSON = (
    *("{", "}", "[", "]", '"', "\\", '\\"', ",", ":", " ", "\n", "0", "{},", "[],", '"",', '"a":0,', '"\\u0061":0,'),
    *('{"role":"user","content":"a"},', '{"type":"text","text":"a"},', '{"role":{"role":', "é", "\\u00", "\\ud800"),
)
REDACTED = (
    *("a", " ", ".", "@", "-", "_", "a@", "a@b.", "sk-", "sk-aaaaaaaaaaaaaaa", "ghp_", "eyJ", "eyJaaaaaaaa.", "A"),
    *("-----BEGIN ", "PRIVATE KEY-----", "-----END ", "bearer ", "api_key", "password: ", "=", "\n", "0", "é"),
)
LETTERS = re.compile(r"[^\W_]")


def modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(found.name)


def _strings(value: Any, depth: int = 3) -> Iterator[str]:
    """The strings in a collection."""
    if depth and isinstance(value, (dict, list, tuple, set, frozenset)):
        for item in [*value, *value.values()] if isinstance(value, dict) else sorted(value, key=str):
            yield from [item] if isinstance(item, str) else _strings(item, depth - 1)


def of_module(module: ModuleType) -> Iterator[str]:
    """Return texts that match a module's patterns, and the marks in its collections without mere variants."""
    for name, value in vars(module).items():
        if isinstance(value, re.Pattern):
            yield attacks.sample(value)
        elif not name.startswith("__"):
            listed = [text for text in _strings(value) if len(text) < 16 and not LETTERS.match(text)]
            yield from {LETTERS.sub("", text): text for text in listed}.values()


def of_roles() -> Iterator[str]:
    """A label and the tags of a name of each role and rank."""
    found: dict[names.RankedRole, str] = {}
    for value in vars(words).values():
        for word in _strings(value):
            name = names.name_of(word, False)
            if name is not None and word.isalpha():
                found[name] = min(found.get(name, word), word, key=lambda each: (len(each), each))
    for word in found.values():
        yield from (f"{word}: ", f"<{word}>", f"</{word}>\n")


def of_asks() -> list[str]:
    """The marks by which an ask is found."""
    return sorted({*FORMS, *of_roles(), *itertools.chain.from_iterable(map(of_module, modules(ask)))} - {""})


def of_redaction() -> list[str]:
    """The marks of what is redacted: whole, and so far that more is looked for."""
    return sorted({*REDACTED, *filter(lambda text: len(text) > 1, of_module(redaction))} - {""})


def text_of(marks: Sequence[str], size: int, between: str = "") -> str:
    """Return a text of about this many characters that is full of these marks."""
    unit = "".join([mark + between for mark in marks])
    return unit * max(1, size // len(unit))
