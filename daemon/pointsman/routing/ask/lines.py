"""Find the line that asks, such as a field of a form, if no label or paragraph tells where the ask is; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from pointsman.routing.ask import prose
from pointsman.routing.ask.evidence import ASKS
from pointsman.routing.ask.names import MATERIAL, NameOf, RankedRole

# A form has fewer lines.
_MAX_LINES = 512
# Fewer fields may be prose with colons. What a field holds is the ask only if it is shorter than a document.
_FIELDS = 3
_MAX_ASK_CHARACTERS = 450
# A longer first line is not a question.
_FIRST_CHARACTERS = 1000

# These begin with the end of the line before, which is found much faster than the beginning of a line.
_FIELD = re.compile(r"\n[ \t\-*•|#]*+(?P<key>[^\W\d_][^:=|\n{}();]{0,60}+)[:=|][ \t*]*+(?P<value>\S[^\n]*+)")
_TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,300}+>")
# The speaker and time in a log of a chat.
_SAID = re.compile(
    r"\n(?:<[^<>\n]{1,60}+>|\[[^\[\]\n]{1,60}+\]|@[\w.-]++|\d[\d:./-]++|[ \t:,\-*•|])*+(?P<value>[^\s>][^\n]*+)"
)
_ENDS = " |\"'"


def asking_line(text: str, name_of: NameOf, *, fields: bool, min_score: int = ASKS) -> tuple[int, int] | None:
    """Return the position of the line that asks most, at least `min_score`.

    `fields`: search only the fields of a form, if the text is one.
    """
    if "</" in text:
        text = _TAG.sub(lambda tag: "\n" * len(tag[0]), text)
    text = f"\n{text}"
    named = [*islice(_FIELD.finditer(text), _MAX_LINES)]
    if fields and len(named) < _FIELDS:
        return None
    best, found = min_score - 1, None
    for match, name in _lines(text, named, name_of, fields=fields):
        value = match["value"].rstrip(_ENDS)
        if len(value) > _MAX_ASK_CHARACTERS or (name is not None and name.role in MATERIAL):
            continue
        score = _score(value, best, named=name is not None, min_score=min_score)
        if score > best:
            begin = match.start("value") - 1
            best, found = score, (begin, begin + len(value))
    return found


def _score(value: str, best: int, *, named: bool, min_score: int) -> int:
    """Return how much a line asks if it is more than the `best`; else 0."""
    if min_score >= ASKS and not prose.may_ask(value):
        return 0
    words = prose.words_in(value)
    score = prose.asks(value, words, named=named)
    if score <= best or (score < ASKS and not prose.has_function_words(words)):
        return 0
    return 0 if prose.content(words) < min_score or prose.is_frame(value, words) else score


def asks_first(text: str) -> int:
    """Return how much the first line of a text asks: what follows such a line belongs to the ask."""
    first = text[:_FIRST_CHARACTERS].lstrip().partition("\n")[0].rstrip()
    words = prose.words_in(first)
    return 0 if prose.is_frame(first, words) else prose.asks(first, words)


def _lines(
    text: str, named: list[re.Match[str]], name_of: NameOf, *, fields: bool
) -> Iterator[tuple[re.Match[str], RankedRole | None]]:
    """Return the values of fields with their names, and the other lines unless only `fields` are requested."""
    for match in named:
        yield match, name_of(match["key"], True)
    if not fields:
        begun = {match.start() for match in named}
        yield from [(match, None) for match in islice(_SAID.finditer(text), _MAX_LINES) if match.start() not in begun]
