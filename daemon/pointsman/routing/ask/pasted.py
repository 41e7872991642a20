"""Find pasted text with an end of its own, such as a diff or a shell session; pure, in linear time."""

from __future__ import annotations

import re
from itertools import islice

from pointsman.routing.ask import prose

# More sessions than a message has; the rest of a text is not looked through for them.
_MAX_PROMPTS = 256
# What is shorter is said twice by chance. A repetition is of one of the first lines, and in the end of the text.
_TWICE = 20
_MAX_LINES = 8
_END = 2000
# A quotation asks in its first paragraphs, if at all.
_MAX_PARAGRAPHS = 6

_DIFF = re.compile(
    r"^(?:diff --git |--- [^\n]+\n\+\+\+ |@@ -)[^\n]*(?:\n(?:[ +\-@\\]|diff |index |new |deleted )[^\n]*)*+",
    re.MULTILINE,
)
# The end of a line is found much faster than its beginning.
_PROMPT = re.compile(r"\n(?P<who>[\w.-]{1,32}+@[\w.-]{1,64}:)[^\n$#]{0,100}+[$#] [^\n]*")
_HTML_MAIL = re.compile(r"\s*+<(?:!doctype|html|head|body|p)\b", re.IGNORECASE)
_ELEMENT = re.compile(
    r"</?(?:!doctype|html|head|body|meta|p|div|br|span|b|i|u|strong|em|ul|ol|li|a|hr|table|tbody|tr|td|font|h[1-6])\b"
    r"[^<>]{0,300}+>",
    re.IGNORECASE,
)
_MARKER = " -*•#0123456789.)("
_QUOTATIONS = (("«", "»"), ("“", "”"), ("„", "“"))


def of_html(text: str, end: int | None = None) -> str:
    """Return a mail in HTML with line breaks for its tags, of the same length; any other text unchanged.

    The middle of a text that is longer than two ends of this length is unchanged.
    """
    if _HTML_MAIL.match(text) is None:
        return text
    if end is None or len(text) <= 2 * end:
        return _without_tags(text)
    return _without_tags(text[:end]) + text[end:-end] + _without_tags(text[-end:])


def _without_tags(text: str) -> str:
    return _ELEMENT.sub(lambda match: f"\n{' ' * (len(match[0]) - 2)}\n", text)


def pasted(text: str) -> list[tuple[int, int]]:
    """Return the positions of diffs, and of a shell's prompts with the text between them."""
    found: list[tuple[int, int]] = []
    at = "@" in text  # a search for one character is fast
    if (at and "@@ -" in text) or "diff --git " in text:
        found = [match.span() for match in _DIFF.finditer(text)]
    if at:
        found += _sessions(text)
    return sorted(found)


def _sessions(text: str) -> list[tuple[int, int]]:
    """Return the start of a shell's first prompt and the end of its last one, if there are several."""
    first: dict[str, int] = {}
    sessions: dict[str, tuple[int, int]] = {}
    for match in islice(_PROMPT.finditer(f"\n{text}"), _MAX_PROMPTS):
        begin = first.setdefault(match["who"], match.start())
        if begin < match.start():
            sessions[match["who"]] = begin, match.end() - 1
    return list(sessions.values())


def said_twice(text: str) -> tuple[int, int] | None:
    """Return the position of one of the first lines that the text's end repeats after words of its own.

    Templates put the ask before and after material; the material cannot know the ask.
    """
    end, start = 0, len(text) - _END
    for line in text[:_END].split("\n", _MAX_LINES)[:_MAX_LINES]:
        piece = line.lstrip(_MARKER)
        size = len(piece)
        end += len(line) + 1
        start = max(start, end)
        if size < _TWICE or text.find(piece[:_TWICE], start) < 0 or (again := text.find(piece, start)) < 0:
            continue
        before = text[start:again].rpartition("\n")[2]
        if len(before.split()) > 1 and prose.asks(piece, prose.words_in(piece)):
            begin = end - 1 - size
            return begin, begin + _same(text, begin, again)
    return None


def relayed(text: str) -> tuple[int, int] | None:
    """Return the position of a quotation that asks in English, in a text in another language.

    People forward questions like this. A quotation after a colon is material.
    """
    lines = f"\n{text}"
    marks = next((pair for pair in _QUOTATIONS if f"\n{pair[0]}" in lines), None)
    if marks is None:
        return None
    begin, end = lines.index(f"\n{marks[0]}"), text.rfind(marks[1])
    if not _is_relay(text[:begin].strip(), text[end + 1 :].strip()):
        return None
    pieces = text[begin + 1 : max(end, begin)].split("\n\n", _MAX_PARAGRAPHS)[:_MAX_PARAGRAPHS]
    return (begin + 1, end) if any(map(_asks_in_english, pieces)) else None


def _is_relay(before: str, after: str) -> bool:
    """Return whether the text around a quotation is in another language, and does not say that it is material."""
    languages = [prose.is_english(one, prose.words_in(one)) for one in (before, after)]
    return False in languages and True not in languages and not before.endswith(":")


def _asks_in_english(piece: str) -> bool:
    """Return whether a paragraph asks, or says what "I" want; "we" and "my" occur in contracts as well."""
    found = prose.words_in(piece)
    wants = prose.asks(piece, found) > 1 or found.listed[:1] == ["i"]
    return wants and prose.is_english(piece, found) is not False


def _same(text: str, one: int, other: int) -> int:
    """Return the number of equal characters from two positions on."""
    size = 0
    for mine, theirs in zip(text[one:], text[other:], strict=False):
        if mine != theirs:
            break
        size += 1
    return size
