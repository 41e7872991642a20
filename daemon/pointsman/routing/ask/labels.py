"""Read the label or heading that a line begins with; pure, bounded by the line's beginning."""

from __future__ import annotations

import re
from typing import NamedTuple

from pointsman.routing.ask import words
from pointsman.routing.ask.names import Name, NameOf, Role, may_name, name_of, words_of

# A label is at most so long, and so are the words before a colon inside of a line.
_LABEL = 80
_INLINE = 400
# More words before a colon are a sentence that introduces what follows.
_SHORT = 4

RULE = re.compile(r"[-=_*#~─—+]{3,}\Z")
_DECORATED = re.compile(
    r"(?:[-=*_~]{2,} ?|\[\[|<<|【|\[|\*\*)(?P<name>[^\[\]【】\n]{2,80}?)(?: ?[-=*_~]{2,}|\]\]|>>|】|\]|\*\*):?\Z"
)
_PLAIN = re.compile(r"[\s*_>•\"'(-]*+(?:\d{1,2}[.)] )?(?P<left>[^\s\"{}<>=;|$][^\"{}<>=|$]*)\Z")
_KEY = re.compile(r"[-\w][\w.()'-]*(?: [\w.()'-]+){0,2}: +\S")
_IS_QUOTED = re.compile(r" is:? ?[\"“«'‘]")
_CARRIER = re.compile(r"\b(?:request|question|query|task|message|prompt|problem)\Z", re.IGNORECASE)
_LONGEST_CARRIER = 8
_CLAUSE = re.compile(r"[.!?;,] +")
_CODE_ENDS = frozenset(",;{(")
_FRAMED = frozenset("-=[<【*")
_MARKS = frozenset("#-=[<【*`~\"'_─—+")
_CALL = re.compile(r"\w\((?!s\))")
_CAPITALS = re.compile(r"(BEGIN|START|END)(?: OF)?[ _]([A-Z][A-Z _]{1,40})\Z")
_FILE = re.compile(r"[\w -]{0,60}\.[a-z]{1,5}\Z", re.IGNORECASE)
_ENDS = ("end ", "fin ", "ende ")


class Style(NamedTuple):
    """How a label is written, which tells how far it reaches."""

    heading: int = 0
    decorated: bool = False
    sentence: bool = False
    inline: bool = False


class Label(NamedTuple):
    """A label: where it begins in its line, and where what it names does. `name` is None for the end of a section."""

    name: Name | None
    begin: int
    content: int
    style: Style = Style()


def may_be_mark(plain: str) -> bool:
    """Return whether a line may be a label, a rule or a fence, at little cost: most lines are none."""
    if plain[0] in _MARKS or plain[-1] in ":：" or ": " in plain or "：" in plain:
        return True
    return (plain[:2].isupper() and plain.isupper()) or (" is" in plain and _IS_QUOTED.search(plain) is not None)


def is_key(plain: str) -> bool:
    """Return whether a line is of the form `key: value`."""
    return ":" in plain and _KEY.match(plain) is not None


def label_in(line: str, plain: str, named: NameOf) -> Label | None:
    """Return the label of a line, None if it has none; `plain` is the line without space at its ends."""
    if plain[0] == "#":
        return _heading(line, plain, named)
    whole = len(plain) <= 2 * _LABEL and (plain[0] in _FRAMED or plain.isupper())
    if whole and (found := _decorated(line, plain, named)) is not None:
        return found
    if plain[0] in "{|" or (line[0] in " \t" and (plain[-1] in _CODE_ENDS or " = " in plain)):
        return None
    found = _colon_label(line, named) if ":" in line or "：" in line else None
    if found is None and len(line) > _INLINE and ": " in line:
        found = _last(line, named)
    return found or (_quoted(line) if " is" in line else None)


def _decorated(line: str, plain: str, named: NameOf) -> Label | None:
    """Return the label that a line is as a whole: `--- Name ---`, `[Name]`, `BEGIN NAME`, or `NAME`."""
    title, ends = "", False
    if plain[0] in _FRAMED and (match := _DECORATED.match(plain)):
        title = match["name"].strip(" #*:-=")
        ends = title[:5].lower().startswith(_ENDS)
    elif plain.isupper() and len(plain) <= _LABEL and plain[-1].isalpha():
        match = _CAPITALS.match(plain)
        title = plain.lower() if match is None else match[2].lower()
        ends = match is not None and match[1] == "END"
    name = named(title, True) if title and not ends else None
    return Label(name, 0, len(line), Style(decorated=True)) if ends or name is not None else None


def _heading(line: str, plain: str, named: NameOf) -> Label | None:
    title = plain.lstrip("#")
    level = len(plain) - len(title)
    if level > 6 or title[:1] not in (" ", ":") or len(title) > 2 * _LABEL or title[-1] in ".,;":
        return None
    name = named(title.strip(" :#*"), False)
    if name is not None:
        if own(title):
            name = name._replace(rank=name.rank + 1)
        return Label(name, 0, len(line), Style(heading=level))
    found = _colon_label(line, named)
    return None if found is None else found._replace(begin=0, style=Style(heading=level))


def _colon_label(line: str, named: NameOf) -> Label | None:
    """Return the label before one of the first colons: alone at the line's beginning, or the end of a sentence."""
    colon = -1
    for _ in range(4):
        colon = _colon(line, colon + 1)
        if colon < 0 or colon > _INLINE:
            return None
        start = max(0, colon - _LABEL)
        if named is name_of and not may_name(line[start:colon]):
            continue
        clause = start
        for match in _CLAUSE.finditer(line, start, colon):
            clause = match.end()
        name = _before_colon(line[clause:colon], named)
        if name is None:
            continue
        content = _content(line, colon)
        if clause and name.role is Role.OTHER and content < len(line):
            continue
        if clause and name.role is Role.ANSWER:
            name = Name(Role.ASK, 2)  # "... then answer: "
        if name.role is Role.OTHER and _FILE.match(line[content:].strip()):
            content = len(line)  # what the file holds follows
        sentence = clause > 0 or len(line[clause:colon].split()) > _SHORT
        return Label(name, clause, content, Style(sentence=sentence, inline=content < len(line)))
    return None


def _before_colon(clause: str, named: NameOf) -> Name | None:
    left = _PLAIN.match(clause)
    if left is None or _CALL.search(clause):
        return None
    name = named(left["left"], True)
    if name is not None and name.role is Role.OTHER and not words.WISHES.isdisjoint(words_of(clause)[-1:]):
        return None  # "Requirements: " is a person's, too
    return name


def _last(line: str, named: NameOf) -> Label | None:
    """Return the ask behind the last colons of a long line."""
    colon = len(line)
    for _ in range(3):
        colon = line.rfind(": ", 0, colon)
        if colon < 0:
            return None
        start = max(0, colon - _LABEL)
        if named is name_of and not may_name(line[start:colon]):
            continue
        clause = max([line.rfind(end, start, colon) for end in (". ", "! ", "? ", '" ')])
        name = named(line[clause + 2 : colon], True) if clause >= 0 else None
        if name is not None and name.role is Role.ASK:
            return Label(name, clause + 2, colon + 2, Style(sentence=True, inline=True))
    return None


def _quoted(line: str) -> Label | None:
    for match in _IS_QUOTED.finditer(line, 0, 2 * _INLINE):
        at = match.start()
        if (carrier := _CARRIER.search(line, max(0, at - _LONGEST_CARRIER), at)) is not None:
            return Label(Name(Role.ASK, 2), carrier.start(), match.end() - 1, Style(sentence=True, inline=True))
    return None


def _colon(line: str, at: int) -> int:
    """Return where a colon is that ends a label: before a space or the end of the line."""
    wide = line.find("：", at)
    while (at := line.find(":", at)) >= 0 and line[at + 1 : at + 2] not in ("", " ", "\t", "*", "\r"):
        at += 1
    return at if wide < 0 or 0 <= at < wide else wide


def _content(line: str, colon: int) -> int:
    after = colon + 1
    while line[after : after + 1] in ("*", " ", "\t", "_"):
        after += 1
        if after >= len(line):
            break
    return len(line) if line[after:].strip() in (">-", "|", ">", "|-") else after


def own(title: str) -> bool:
    """Return whether a heading names the person's own part, such as "My request"."""
    return not words.OWNERS.isdisjoint(words_of(title))


def front_matter(text: str) -> int:
    """Return where `key: value` lines between two rules at the beginning of a text end; 0 if there are none."""
    if not text.startswith("---\n"):
        return 0
    end = text.find("\n---\n", 3, 2000)
    return end + 5 if end > 0 and all(is_key(line) for line in text[4:end].split("\n")) else 0
