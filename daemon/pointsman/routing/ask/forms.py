"""Tell prose from code, logs, quotes and other forms by the beginnings and ends of lines; pure, bounded."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence

from pointsman.routing.ask import prose
from pointsman.routing.ask.evidence import ASKS
from pointsman.routing.ask.labels import is_key

# Text without a name may be the ask if it is shorter.
_MAX_ASK_CHARACTERS = 2000
_PARAGRAPHS = 6
# The first lines of a block tell its form.
LOOKED_AT = 6

_LOG = re.compile(
    r"<[\w@. -]{1,40}>[: ]|"
    r"[\[(<]?(?:\d{4}[-/]\d\d[-/]\d\d|\d\d?[/.]\d\d?[/.]\d\d(?:\d\d)?,? \d|\d\d?:\d\d\b|[A-Z][a-z]{2} +\d+ \d\d:\d\d|"
    r"\d+\.\d+\.\d+\.\d+ )|(?:INFO|WARN|WARNING|ERROR|DEBUG|FATAL|TRACE)\b|Traceback|at [\w.$<>]+\(|File \"|"
    r"[\w.-]{1,32}+@[\w.-]{1,64}:[^\s$#]*+ ?[$#]|[$%] \w|[-drwx]{10}[. ]|total \d|[=_*-]{5,} ?\w|"
    r"\S++ [.F]++ *+\[|E  +\S|[\w./-]++:\d+:|PS [A-Z]:\\"
)
_PROMPT = re.compile(r"[\w.-]{1,32}@[\w.-]{1,64}:[^\s$#]*+ ?[$#] ?\S|PS [A-Z]:\\|[$] [a-z]")
_QUOTES = frozenset('"“”„«»')
# A question in quotation marks is shorter than a document.
_QUOTED = 250
_CODE = re.compile(
    r"[{}\])@]|</?\w|<!|//|/\*|#include|(?:def|class|import|from|func|fn|function|const|let|var|public|private|protected|"
    r"static|return|package|using|namespace|struct|enum|impl|if \(|for \(|while \(|SELECT|INSERT|CREATE|UPDATE|ALTER|"
    r"FROM|WHERE|try:|else|except|elif|with|local|end|type)\b"
)
# Lines of HTML are prose.
_HTML = ("<p>", "<li", "<di", "<sp", "<br")
_CODE_ENDS = frozenset("{};\\,(>[]):=")
_DIFF_OR_JSON = re.compile(
    r"diff --git |index [0-9a-f]{6,}|@@ |\+\+\+ |--- [ab/]|[+-](?![ +-])\S|\+ {2,}|\+\Z|"
    r"[{\[]\s*+(?:[\"{\[\]}]|\Z)|\"[^\"\n]{1,60}\"\s?+:|[}\]]++,?\Z"
)
_DIFF_OR_JSON_BEGINS = frozenset('di@+-{["}]')


class BlockForm(enum.Enum):
    """The form of a block."""

    PROSE = enum.auto()
    FENCE = enum.auto()
    FILE = enum.auto()
    """A fence that names a file."""
    TAGGED = enum.auto()
    QUOTE = enum.auto()
    LOG = enum.auto()
    CODE = enum.auto()
    KEYS = enum.auto()
    """Lines of `key: value`."""
    TABLE = enum.auto()
    ENCLOSED = enum.auto()
    """Prose between two lines such as `-----`."""


def looks_asked(text: str) -> bool:
    """Return whether a text without a label looks like an ask."""
    plain = text.strip()
    if len(plain) > _MAX_ASK_CHARACTERS or not prose.may_ask(plain):
        return False
    if not any(map(_asks, plain.split("\n\n")[:_PARAGRAPHS])):
        return False
    lines = [line.strip() for line in plain.split("\n")[:LOOKED_AT]]
    return form_of([line for line in lines if line]) is BlockForm.PROSE


def _asks(paragraph: str) -> bool:
    piece = paragraph.strip()
    return prose.asks(piece, prose.words_in(piece)) >= ASKS


def form_of(lines: Sequence[str]) -> BlockForm:
    """Return the form of a block by most of its first lines, which have no trailing space."""
    if lines[0][0] in _QUOTES and lines[-1].rstrip(".")[-1:] in _QUOTES and sum(map(len, lines)) > _QUOTED:
        return BlockForm.QUOTE
    if len(lines) == 1:
        return _form_of_line(*lines) or BlockForm.PROSE
    if len(lines) > 2 and all(map(_is_row, lines)):
        return BlockForm.TABLE
    if _PROMPT.match(lines[0]) is not None:
        return BlockForm.LOG
    return _form_of_most([_form_of_line(line) for line in lines]) or _keys_or_prose(lines)


def _form_of_most(found: list[BlockForm | None]) -> BlockForm | None:
    """Return the form of most lines; two lines of code are enough."""
    half = len(found) / 2
    log, code = found.count(BlockForm.LOG), found.count(BlockForm.CODE)
    if found.count(BlockForm.QUOTE) > half:
        return BlockForm.QUOTE
    if code > 1:
        return BlockForm.CODE
    return BlockForm.LOG if log + code > half else None


def _keys_or_prose(lines: Sequence[str]) -> BlockForm:
    return BlockForm.KEYS if sum(map(is_key, lines)) > 0.6 * len(lines) else BlockForm.PROSE


def _form_of_line(line: str) -> BlockForm | None:
    if line[0] == ">":
        return BlockForm.QUOTE
    if _LOG.match(line) is not None:
        return BlockForm.LOG
    return BlockForm.CODE if _is_code(line) else None


def _is_row(line: str) -> bool:
    return (line.count(",") > 2 and ", " not in line) or line.count("|") > 2


def _is_code(line: str) -> bool:
    last = line[-1]
    if line.startswith(_HTML):
        return False
    if last in "{};" and not line[0].isupper():
        return True
    if last in _CODE_ENDS and _CODE.match(line) is not None:
        return True
    return line[0] in _DIFF_OR_JSON_BEGINS and _DIFF_OR_JSON.match(line) is not None
