"""Judge by its words whether a follow-up says something of its own; pure, and quick for texts of any length.

The classifier cannot tell: it reads an ask alone, and confidently calls "thanks" or "and then?" small talk.
"""

from __future__ import annotations

import re
from pathlib import Path

from pointsman.routing.word_lists import WordLists

# A longer text says something.
MAX_CHARACTERS = 160
MAX_WORDS = 24
MAX_NUMBERS = 3
FEW_WORDS = 6
# The beginning of a longer text tells enough, in a bounded time.
READ_CHARACTERS = 2048
# After its first sentence, a pronoun may refer to the ask itself; in a longer sentence, after its first words.
SHORT_WORDS, FIRST_WORDS = 12, 5


_LISTS = WordLists(Path(__file__).with_name("follow_up_words.txt"))
_words = _LISTS.words
_ANYWHERE = _words("anywhere")
_ENGLISH_WORDS = _words("words English")
_LANGUAGES = [*map(_words, _LISTS.titles("words"))]
_LANGUAGES.append(_ENGLISH_WORDS | _words("more English"))
_PIECES = [*map(_words, _LISTS.titles("pieces"))]
_OPENING, _POINTING, _ENDING, _TYING = map(_words, ("opening", "pointing", "ending", "tying"))
_FILLING, _ASKING = _words("filling"), _words("asking")
_ANY_WORD = _ANYWHERE.union(*_LANGUAGES)
_ANY_SUBJECT = _ANYWHERE.union(_ENGLISH_WORDS, _OPENING, _POINTING, _ENDING, _TYING, _FILLING, _ASKING, ("",))
_MAX_PIECE_CHARACTERS = max(len(piece) for pieces in _PIECES for piece in pieces)

_BETWEEN = re.compile(r"[\s.,;:!?…。、，！？：；()（）\[\]{}\"'’`«»„“”‚‘¿¡؟،·~*_/\\|<>#&%+=—–-]+")
# Letters of scripts that put no spaces between words, and roughly how many make a word.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
LETTERS = 3
_NUMBER = re.compile(r"\d+")
# Amounts, shares, decimals, sums, codes: these name a subject, while "3 more" or "under 100 words" do not.
_FIGURE = re.compile(
    r"[$€£]\s?\d|\d\s?[%$€£]|\d[.,]\d|[\d)]\s?[\^=+*]\s?[\d(]|\d{3}(?!\d* (?:words|characters|chars|letters))"
)
_ENGLISH = re.compile(r"\w[\w'-]*")
_SENTENCE = re.compile(r"[.!?]\s|\n")
_CLAUSE = re.compile(r"[.!?,:;\n]+")
_TURNING = re.compile(rf"\b(?:{'|'.join(_LISTS.lines('turning'))})\b")
# In "Is it legal to", "that the", "does one", "would you", the pronoun refers to nothing before.
_EMPTY = re.compile(
    r"\b(?:is|was|be|isn't|would) it \w+ (?:to|that|if|for|when)\b|\bit(?:'?s| is| was) \w+ (?:to|that|if)\b"
    r"|\bwould you\b|\b(?:can|does|must|should|would) one\b|\bone (?:can|must|should|has to)\b"
    r"|\bis it (?:true|ok|okay|legal|safe|normal|bad|possible)\b|\bthat (?:the|a|my|i|you|we|he|she|they)\b"
)


def content_free(text: str) -> bool:
    """Return whether a text fits any subject, in some thirty languages: "thanks", "shorter, please", "als Tabelle"."""
    if len(text) > MAX_CHARACTERS:
        return False
    words = [word for word in _BETWEEN.split(text.casefold()) if any(map(str.isalpha, word))]
    if len(words) > MAX_WORDS or _FIGURE.search(text) or len(_NUMBER.findall(text)) > MAX_NUMBERS:
        return False
    own = [word for word in words if word not in _ANYWHERE]
    if _ANY_WORD.issuperset(own):
        return any(known.issuperset(own) for known in _LANGUAGES)
    return not text.isascii() and any(all(_consists(word, pieces) for word in own) for pieces in _PIECES)


def is_short(text: str) -> bool:
    """Return whether a text has few words, in any language: most short texts continue the subject."""
    if len(text) > MAX_CHARACTERS:
        return False
    words = len([word for word in _BETWEEN.split(text) if any(map(str.isalpha, word))])
    return words + len(_UNSPACED.findall(text)) // LETTERS <= FEW_WORDS


def own_words(text: str) -> frozenset[str]:
    """Return the words of a text that name a subject."""
    return frozenset(_BETWEEN.split(text[:READ_CHARACTERS].lower())) - _ANY_SUBJECT


def _consists(word: str, pieces: frozenset[str]) -> bool:
    """Return whether a word can be divided into these pieces."""
    ends = {0}
    for start in range(len(word)):
        if start in ends:
            ends |= {end for end in range(start + 1, start + 1 + _MAX_PIECE_CHARACTERS) if word[start:end] in pieces}
    return len(word) in ends


def leans(text: str) -> bool:
    """Return whether an English text makes sense only after what was said before: "can somebody have both?".

    It begins in mid-sentence, refers back, or neither asks nor wants anything, and announces no other subject.
    """
    text = text[:READ_CHARACTERS].lower().replace("’", "'")
    if _TURNING.search(text):
        return False
    text = _EMPTY.sub(" ", text)
    words = _from_first(text)
    if not words or (len(words) == 1 and text.isascii()):
        return True
    if words[0] in _OPENING or words[-1] in _ENDING or not _TYING.isdisjoint(words):
        return True
    first = next(filter(None, map(_from_first, _SENTENCE.split(text))), words)
    if not _POINTING.isdisjoint(first if len(first) <= SHORT_WORDS else first[:FIRST_WORDS]):
        return True
    english = not _ENGLISH_WORDS.isdisjoint(words)
    return english and "?" not in text and not any(_asks(_from_first(clause)) for clause in _CLAUSE.split(text))


def _from_first(text: str) -> list[str]:
    """Return the words of an English text after its filler words."""
    words = _ENGLISH.findall(text)
    start = next((index for index, word in enumerate(words) if word not in _FILLING), len(words))
    return words[start:]


def _asks(words: list[str]) -> bool:
    return bool(words) and (words[0] in _ASKING or (words[0] == "i" and words[1:2] in (["need"], ["want"])))
