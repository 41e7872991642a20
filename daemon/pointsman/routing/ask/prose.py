"""Judge by its words whether a paragraph asks, frames a question, or is material; pure, bounded."""

from __future__ import annotations

import re

from pointsman.routing.ask import words

# So much of a paragraph's beginning is looked at, and of its end.
_LONGEST = 250
_END = 200
_CLAUSES = 120

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
# What is between words of ASCII text, which need no pattern.
_SPACES = {code: " " for code in range(128) if not chr(code).isalpha() and chr(code) != "'"}
_QUESTION = re.compile(r"[?？؟](?=[\s\"'”’»)\]}*]|\Z)")
_LATER = re.compile(
    r"(?<=[,;.:] )(?:how|what|when|where|which|why|who|should|can|could|is|are|am|do|does|did) "
    r"(?:i|we|you|my|the|it|this|that|settings?|one|there)\b",
    re.IGNORECASE,
)
_PERSONA = re.compile(
    r"(?:i (?:want|would like) you to (?:act|be|play)|act as |imagine (?:that )?you |pretend |from now on|you are |"
    r"you're |you will |your (?:job|role|task|name) is|as an ai|before you answer|play the part)",
    re.IGNORECASE,
)
_COURTESY = re.compile(
    r"(?:hi|hello|hey|dear|good (?:morning|day|evening)|thanks|thank you|many thanks|best|kind|regards|cheers|yours|"
    r"sincerely|looking forward|merci|gracias|danke|mit freundlichen|cordialement)\b",
    re.IGNORECASE,
)
# An instruction is shorter, and the text to which it applies longer.
_INSTRUCTION = 250
_OBJECT = re.compile(r":?\s*\n|: ")
_COURTESY_CHARS = 200
# The line above a name in a signature.
_SIGNED = 40
_LEADING = re.compile(
    r"(?:given|based|using|with|now|from|considering|after|in view)\b[^,.?!\n]{0,80}, ", re.IGNORECASE
)
_HTML = re.compile(r"<[^<>\n]{1,200}>")
_SENTENCE = re.compile(r"[.!?:;] +|\n+|,? and (?=[a-z])")
_POINTER = re.compile(r"\s?+(?:'[^'\n]{1,200}' )?\(see (?:below|above) for [a-z ]{1,40}\)|\s@[\w./-]{3,200}+\Z")
_RULE = re.compile(
    r"(?:confirm |represent|never |always |do not |don't |use |no |reply |respond |return |output |format |keep |stay |"
    r"write (?:for|in) |at most |deliver |be |give (?:the|your|only)|only |strings |think |let's |put your |when you |"
    r"if (?:you|i) |remember|reminder|note:|follow |cite |go on |begin |you (?:may|can|must|should|have|get|never) |"
    r"for (?:example|the schema)|where |(?:the|a|your) (?:answer|reply|response|output|modified|final) )",
    re.IGNORECASE,
)
_HEADERS = re.compile(r"\A(?:(?:from|to|cc|date|sent|subject|author|time): [^\n]{0,200}+\n)++", re.IGNORECASE)
_MENTION = re.compile(r"\s*<?@[\w.-]+>?[,:]?\s*")
_LEAD = " -*•#0123456789.)(\"'"


def words_in(text: str) -> list[str]:
    """Return the words of a text's beginning, in lower case."""
    begin = text[:_LONGEST].lower()
    return begin.translate(_SPACES).split() if begin.isascii() else _WORD.findall(begin)


def content(found: list[str]) -> int:
    """Return how many different words say what something is about."""
    return len([word for word in set(found).difference(words.FRAMES) if len(word) > 1])


def content_words(text: str) -> set[str]:
    """Return the words of a text's beginning that say what it is about."""
    return set(words_in(text)).difference(words.FRAMES, words.VERBS)


def asks(text: str, found: list[str]) -> int:
    """Return how much a paragraph looks like what a person asks: 0 is not at all, 2 and more surely."""
    begin, first_words = text, found
    if (lead := _LEADING.match(text)) is not None or text[:1] == "<" or "@" in text[:20]:
        begin = text[lead.end() :] if lead is not None else _HTML.sub("", text[:_LONGEST]).lstrip()
        begin = _MENTION.sub("", begin, 1)
        first_words = words_in(begin[:80])
    first = next((word for word in first_words[:6] if word not in words.COURTESIES), "")
    score, tail = 0, text[-_END:]
    if ("?" in tail or "？" in tail or "؟" in tail) and _QUESTION.search(tail):
        score += 2 if tail.rstrip(" \n\"'”’»)*")[-1:] in "?？؟" else 1
    if first in words.VERBS and begin.lstrip(_LEAD + "\n\t«“‘>")[:1].isalpha():
        score += 2
    score += not words.PERSONAL.isdisjoint(found)
    return score if score > 1 else score + (_LATER.search(tail, max(0, len(tail) - _CLAUSES)) is not None)


def is_frame(text: str, found: list[str], many: int) -> bool:
    """Return whether a paragraph only says that something is to be answered, by whom, or in what form.

    `many` is how many of its words say what it is about.
    """
    template = len(words.TEMPLATES.intersection(found))
    if template and many <= max(1, len(found) // 7):
        return True
    if template > 1 and many <= len(found) // 4:
        return True
    plain = text.strip()
    if plain[:1] + plain[-1:] in ("()", "[]") and "?" not in plain:
        return True
    begin = text[:60].lstrip(_LEAD)
    if _PERSONA.match(begin) is not None:
        return not any(_wants(sentence) for sentence in _SENTENCE.split(text[: 2 * _LONGEST])[1:])
    return "?" not in text and (_is_courtesy(plain, begin, many) or _RULE.match(begin) is not None)


def _is_courtesy(plain: str, begin: str, many: int) -> bool:
    """Return whether a paragraph is a greeting or a signature."""
    if len(plain) > _COURTESY_CHARS or _COURTESY.match(begin) is None:
        return False
    first, _, rest = plain.partition("\n")
    return many < 4 or (bool(rest) and len(first) < _SIGNED and first[-1:] == ",")


def _wants(sentence: str) -> bool:
    """Return whether a sentence asks for something of its own."""
    found = words_in(sentence)
    if len(found) > 1 and (found[1] == "not" or found[0].endswith(("n't", "n’t"))):
        return False
    return asks(sentence, found) >= (1 if found[:1] == ["i"] else 2) and content(found) >= 3


def is_quoted(text: str) -> bool:
    """Return whether a paragraph is a quotation as a whole, by which one person passes on what another asks."""
    plain = text.strip()
    return plain[:1] in ("«", "“", "„") and plain[-1:] in ("»", "”", "“")


def instruction(text: str) -> str | None:
    """Return what "translate", "summarise" and the like say to do, where the text to which they apply follows."""
    begin = text[:_INSTRUCTION]
    first = next((word for word in words_in(begin)[:6] if word not in words.COURTESIES), "")
    if first not in words.TRANSFORMS or not text.lstrip(_LEAD)[:1].isalpha():
        return None
    end = _OBJECT.search(begin)
    if end is None or len(text) - end.end() < _INSTRUCTION:
        return None
    return begin[: end.start()]


def leads(line: str) -> bool:
    """Return whether a line with a colon at its end is a frame, of which the question follows."""
    found = words_in(line)
    return is_frame(line, found, content(found))


def without_pointers(text: str) -> str:
    """Return an ask without what leads from material to it, and without the places of files that it names."""
    text = _HEADERS.sub("", text, 1)
    if text.startswith("<@"):
        text = _MENTION.sub("", text, 1)
    lead = _LEADING.match(text)
    if lead is not None and not content(words_in(lead.group())):
        text = text[lead.end() :]
    if text.startswith(("<p", "<div", "<span")):
        text = _HTML.sub("", text)
    return _POINTER.sub("", text).strip()


def has_function_words(found: list[str]) -> bool:
    """Return whether there are words that English sentences have."""
    return not words.FUNCTION.isdisjoint(found)


def is_english(text: str, found: list[str]) -> bool | None:
    """Return whether a paragraph is in English, None if it is too short to tell."""
    if not words.ENGLISH.isdisjoint(found):
        return True
    if len(words.NOT_ENGLISH.intersection(found)) > 1:
        return False
    letters = [char for char in text[:80] if char.isalpha()]
    foreign = sum(not char.isascii() for char in letters)
    return False if (len(found) > 3 and foreign) or (len(letters) > 7 and foreign > len(letters) / 3) else None


def points(text: str) -> bool:
    """Return whether a text points to something that it does not say."""
    return not {
        "this",
        "that",
        "it",
        "these",
        "those",
        "above",
        "below",
        "following",
        "here",
        "error",
        "code",
    }.isdisjoint(words_in(text))


def refers(text: str) -> bool:
    """Return whether a text has a pronoun that stands for somebody named elsewhere."""
    return not {"he", "she", "they", "them", "him", "her", "his", "their", "its"}.isdisjoint(words_in(text))
