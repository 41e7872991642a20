"""Tell whether a text is mostly code, markup, logs or commands, whatever its other language; pure, linear."""

from __future__ import annotations

import re

MAX_CODE_CHARACTERS = 2000
"""Characters of a text that are read; each takes 0.1 µs."""
MIN_PIECES = 5
"""Minimum pieces of code in a text."""
MIN_PIECE_SHARE = 0.4
"""Minimum share of pieces in a line of code that are pieces of code."""
INDENTED = ("  ", "\t")
MAX_INDENTED_WORDS = 8
"""Maximum words of an indented line that is code by its indent alone, as a statement or a comment is."""

# Thai, Lao, Burmese, Khmer, kana and Han, which have no spaces between words, with their punctuation.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uff00-\uffef"
_UNSPACED_LETTERS = re.compile(f"[{_UNSPACED}]+")
_LETTERS_A_WORD = 2
_PIECE = re.compile(rf"[^\s{_UNSPACED}]+")
_LETTER = re.compile(r"[^\W\d_]")
_ADDRESS = re.compile(r"\W*+(?:[a-z]{2,12}://|[\w.+-]++@[\w-]++\.)")
# Signs that words do not have, at any position in a piece.
_SIGN = re.compile(
    r"""
    [={}<>\\`] | && | \|\| | // | /\* | \*/
    | \w_ | _\w
    | \w[(\[] | \[\] | [(\[{]["']              # foo(x), x[0], []int, ["a"
    | [)\]}"'];\Z | \A\d\w*+;\Z                # foo(x); 5px;
    | [\w)\]"'][.:][a-z_(] | :: | ["']:\Z      # a.b, nginx:alpine, "key":
    | \A\$?\.{0,2}/\w | /[\w.-]++/             # ./run, $/x, /etc/hosts, a/b/c
    | \A--?[A-Za-z] | \$[A-Za-z({]
    | \A\#(?:!|include|define|ifn?def|endif)
    | \A\d++\.\d++\.\d++\.\d | \A[0-9a-f]{12}  # 10.0.0.7:80, a hash
    """,
    re.VERBOSE,
)


def mostly_code(text: str) -> bool:
    """Return whether lines of code have at least half of the characters of all words and pieces of code.

    A line is code if two fifths of its pieces between spaces have signs that words do not have, or if it is indented
    and short.
    """
    found = code = prose = 0
    for line in text[:MAX_CODE_CHARACTERS].split("\n"):
        pieces = words = size = 0
        for piece in _PIECE.findall(line.lstrip().removeprefix("-")):  # a bullet, or a speaker
            if _SIGN.search(piece) is not None:
                if _ADDRESS.match(piece) is None:
                    pieces += 1
                    size += len(piece)
            # In capitals it is a name, or a keyword as in SQL.
            elif _LETTER.search(piece) is not None and not (piece.isascii() and piece.isupper()):
                words += 1
                size += len(piece)
        found += pieces
        unspaced = sum(map(len, _UNSPACED_LETTERS.findall(line)))
        size += unspaced
        spoken = words + unspaced / _LETTERS_A_WORD
        many = pieces >= MIN_PIECE_SHARE * (pieces + spoken)
        if (pieces and many) or (line.startswith(INDENTED) and spoken <= MAX_INDENTED_WORDS):
            code += size
        else:
            prose += size
    return found >= MIN_PIECES and code >= prose
