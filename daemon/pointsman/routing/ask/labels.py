"""Read the label or heading at the beginning of a line; pure, bounded by the line's beginning."""

from __future__ import annotations

import re
from itertools import islice
from typing import NamedTuple

from pointsman.routing.ask import words
from pointsman.routing.ask.names import OTHER, NameOf, PartRole, RankedRole, may_name, name_of, words_of

# Longer words before a colon are no label; a colon further inside of a line ends none.
_LABEL = 80
_INLINE = 400
# More words before a colon are a sentence that introduces the following text.
_SHORT = 4
# Each colon costs a look at what precedes it.
_COLONS = 4

RULED = "-=_*#~─—+"
RULE = re.compile(rf"[{RULED}]{{3,}}\Z")
# The marks are possessive: backtracking on a line of only marks would take milliseconds.
_DECORATED = re.compile(
    r"(?:<!-- ?|[-=*]{2,}+ ?|\[\[?|<<|【)(?P<name>[^\[\]【】\n]{2,80}?)(?: ?-->| ?[-=*_~#]{2,}+|\]\]?|>>|】):?\Z"
)
_FRAMES = frozenset("<-=*[【")
_NUMBER = re.compile(r"(?:\d{1,2}(?:\.\d{1,2})?|[IVX]{1,4}|[A-H])[.)] ")
_HEADING = re.compile(r"h(?P<wiki>[1-6])\. |(?P<marks>={1,5}) (?=\w)")
# Possessive quantifiers: nothing is tried twice.
_PLAIN = re.compile(r"[\s*_>•\"'(-]*+(?:\d{1,2}\) )?(?P<left>[^\s\"{}<>=;|$][^\"{}<>=|$]*+)\Z")
_KEY = re.compile(r"(?:\*\*)?[-\w][\w.()'#-]*+(?: [\w.()'#-]++){0,2}+ ?:(?:\*\*)? +\S")
_COLON = re.compile(r":(?![^ \t*\r])")
# Searching for two kinds of colons is much slower than for one.
_ANY_COLON = re.compile(rf"{_COLON.pattern}|：")
_IS_QUOTED = re.compile(r" is:? ?[\"“«'‘]")
_CARRIER = re.compile(r"\b(?:request|question|query|task|message|prompt|problem)\Z", re.IGNORECASE)
_MAX_CARRIER_CHARACTERS = 8
_ANSWER_THIS = re.compile(
    r"(?:\A| )(?:(?:answer|handle|address)(?= )|respond to|reply to)"
    r"(?: (?:the|this|these|following|me|my|only|one))*\Z",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[.!?;,] +")
_CODE_ENDS = frozenset(",;{(")
_INDENT = ("    ", "\t")
_AROUND = " <>=#*-"
_MARKS = frozenset("#-=[<【*`~\"'_─—+")
_CALL = re.compile(r"\w\((?!s\))")
_EDGES = re.compile(
    r"(?:(?P<end>end|fin|ende)|begin|start|beginning)(?: of)?(?: the)?[ _:]+(?P<name>.+)|"
    r"(?P<before>.+)[ _](?:(?P<after>ends?)|begins?|starts?|follows)",
    re.IGNORECASE,
)
_FILE = re.compile(r"[\w -]{0,60}\.[a-z]{1,5}\Z", re.IGNORECASE)


class LabelStyle(NamedTuple):
    """The style of a label, which tells where its section ends."""

    mark: str = ""
    """The mark of the label: `#` for a heading, the first character of a frame, a letter for a line in capitals."""
    level: int = 0
    """The level of a heading."""
    sentence: bool = False
    inline: bool = False
    unknown: bool = False
    """The name tells no role: the label only ends a section of the same style."""

    def ends(self, other: LabelStyle) -> bool:
        """Return whether a heading of this style ends a section of another style."""
        return self.mark == other.mark != "" and self.level <= other.level


class SectionLabel(NamedTuple):
    """A label: where it and its content begin in their line. `name` is None for the end of a section."""

    name: RankedRole | None
    begin: int
    content: int
    style: LabelStyle = LabelStyle()

    @property
    def role(self) -> PartRole | None:
        """Return the role of what follows."""
        return None if self.name is None else self.name.role


def may_be_mark(plain: str) -> bool:
    """Return cheaply whether a line may be a label, a rule or a fence: most lines are not."""
    if plain[0] in _MARKS or plain[-1] in ":：" or ": " in plain or "：" in plain:
        return True
    if plain.isupper() or (plain[0] == "h" and plain[2:4] == ". "):
        return True
    return _may_quote(plain) and _IS_QUOTED.search(plain) is not None


def _may_quote(line: str) -> bool:
    return " is" in line and ('"' in line or "'" in line or not line.isascii())


def is_key(plain: str) -> bool:
    """Return whether a line has the form `key: value`."""
    return ":" in plain and _KEY.match(plain) is not None


def label_in(line: str, plain: str, named: NameOf) -> SectionLabel | None:
    """Return the label of a line, or None; `plain` is the line without space at its ends."""
    heading = _heading_of(plain) if plain[0] in "#h=" else None
    if heading is not None:
        return _heading(line, *heading, named)
    framed = _decorated(line, plain, named) if len(plain) <= 2 * _LABEL else None
    if framed is not None and not framed.style.unknown:
        return framed
    if _is_data(line, plain):
        return None
    if _cites(plain):
        return SectionLabel(OTHER, 0, len(line), LabelStyle(sentence=True))
    return _colon_label(line, named) or _quoted(line) or framed


def _cites(plain: str) -> bool:
    """Return whether a line introduces a mail: "On Monday, Ann <ann@example.com> wrote:"."""
    return plain[-1] == ":" and "@" in plain and "<" in plain


def _is_data(line: str, plain: str) -> bool:
    """Return whether a line is a member, a row, a quotation, a link or indented code."""
    if plain[0] in "{|>" or (plain[0] in "![" and "](" in plain):
        return True
    return line[0] in " \t" and (plain[-1] in _CODE_ENDS or " = " in plain)


def _heading_of(plain: str) -> tuple[str, int] | None:
    """Return the title and the level of a heading: `# Name`, `h2. Name`, or `== Name`."""
    if plain[0] == "#":
        title = plain.lstrip("#")
        return title, len(plain) - len(title)
    match = None if plain[-1] == "=" else _HEADING.match(plain)
    return None if match is None else (plain[match.end() - 1 :], int(match["wiki"] or len(match["marks"])))


def _decorated(line: str, plain: str, named: NameOf) -> SectionLabel | None:
    """Return the label that is a whole line: `--- Name ---`, `[Name]`, `BEGIN NAME`, or `NAME`."""
    titled = _title(plain)
    if titled is None:
        return None
    title, frame = titled
    edges = _EDGES.fullmatch(title)
    if edges is not None and (edges["end"] or edges["after"]):
        return SectionLabel(None, 0, len(line), LabelStyle(frame))
    name = named(title if edges is None else edges["name"] or edges["before"], True)
    return SectionLabel(name or OTHER, 0, len(line), LabelStyle(frame, unknown=name is None))


def _title(plain: str) -> tuple[str, str] | None:
    """Return the words of a title, and the mark of its style."""
    if plain[0] in _FRAMES and (match := _DECORATED.match(plain)) is not None:
        return match["name"].strip(" #*:-=!"), plain[0]
    if not plain.isupper() or len(plain) > _LABEL or not (plain := plain.strip(_AROUND))[-1:].isalpha():
        return None
    number = _NUMBER.match(plain)
    return (plain.lower(), "A") if number is None else (plain[number.end() :].lower(), "1")


def _is_title(title: str) -> bool:
    return title[:1] in (" ", ":") and len(title) <= 2 * _LABEL and title[-1] not in ".,;"


def _heading(line: str, title: str, level: int, named: NameOf) -> SectionLabel | None:
    """Return the label of a heading of this title and level."""
    if not _is_title(title):
        return None
    found = _colon_label(line, named)
    inline = found is not None and found.style.inline
    if inline and line.startswith(_INDENT):
        return None  # a comment in code
    style = LabelStyle("#", level)
    name = None if inline else named(title.strip(" :#*"), False)
    if name is not None:
        return SectionLabel(name, 0, len(line), style)
    if found is None:
        return SectionLabel(OTHER, 0, len(line), style._replace(unknown=True))
    return found._replace(begin=0, style=style)


def _colon_label(line: str, named: NameOf) -> SectionLabel | None:
    """Return the label before one of the first colons: alone at the line's beginning, or at the end of a sentence."""
    wide = "：" in line
    if not wide and ":" not in line:
        return None
    for match in islice((_ANY_COLON if wide else _COLON).finditer(line, 0, _INLINE + 2), _COLONS):
        colon = match.start()
        if colon > _INLINE:
            break
        start = colon - _LABEL if colon > _LABEL else 0
        if named is name_of and not may_name(line[start:colon].rstrip()):
            continue
        clause = start if " " not in line[start:colon] else _clause(line, start, colon)
        name = _before_colon(line[clause:colon].rstrip(), named)
        if name is None:
            continue
        content = _content(line, colon)
        if clause and name.role is PartRole.OTHER and content < len(line):
            continue
        if name.role is PartRole.OTHER and content < len(line) and _FILE.match(line[content:].strip()):
            content = len(line)  # the content of the file follows
        if clause and name.role is PartRole.ANSWER:
            name = RankedRole(PartRole.ASK, 2)  # "... then answer: "
        sentence = clause > 0 or len(line[clause:colon].split()) > _SHORT
        return SectionLabel(name, clause, content, LabelStyle(sentence=sentence, inline=content < len(line)))
    return None


def _clause(line: str, start: int, colon: int) -> int:
    """Return the start of the last clause before a colon."""
    for end in _CLAUSE.finditer(line, start, colon):
        start = end.end()
    return start


def _before_colon(clause: str, named: NameOf) -> RankedRole | None:
    left = _PLAIN.match(clause)
    if left is None or ("(" in clause and _CALL.search(clause)):
        return None
    name = named(left["left"], True)
    if name is None:
        return RankedRole(PartRole.ASK, 2) if _ANSWER_THIS.search(clause) else None
    wishes = name.role is PartRole.OTHER and not words.WISHES.isdisjoint(words_of(clause)[-1:])
    return None if wishes else name  # "Requirements: " may be a person's label, too


def _quoted(line: str) -> SectionLabel | None:
    if not _may_quote(line):
        return None
    for match in _IS_QUOTED.finditer(line[: 2 * _INLINE]):
        at = match.start()
        if (carrier := _CARRIER.search(line, at - _MAX_CARRIER_CHARACTERS, at)) is not None:
            return SectionLabel(
                RankedRole(PartRole.ASK, 2), carrier.start(), match.end() - 1, LabelStyle(sentence=True, inline=True)
            )
    return None


def _content(line: str, colon: int) -> int:
    rest = line[colon + 1 :].lstrip("* \t_\r")
    return len(line) if rest.strip() in (">-", "|", ">", "|-") else len(line) - len(rest)
