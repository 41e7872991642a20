"""Find words and phrases in a text, as whole words; pure, in linear time."""

from __future__ import annotations

from pointsman.config.regex import is_class

# Scripts from here on have no spaces between words.
_UNSPACED = "\u2e80"


def has_keyword(text: str, keyword: str) -> bool:
    """Return whether a text has a word or phrase with no letter or digit directly before or after it."""
    start = text.find(keyword)
    while start >= 0:
        end = start + len(keyword)
        if not _joined(text[start - 1 : start], keyword[0]) and not _joined(text[end : end + 1], keyword[-1]):
            return True
        start = text.find(keyword, start + 1)
    return False


def _joined(neighbour: str, edge: str) -> bool:
    """Return whether a character next to a keyword makes its first or last character part of another word."""
    return bool(neighbour) and edge < _UNSPACED and is_class("w", edge) and is_class("w", neighbour)


def one_line(text: str) -> str:
    """Return a text with single spaces, so that phrases are found across line ends."""
    return " ".join(text.split())
