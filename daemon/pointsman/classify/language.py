"""Tell whether a text is in a language that the classifier was not made for.

A false alarm takes the right adapter from a user; a miss only leaves the text to a classifier that may be wrong. So a
text passes unless its language is certain: code, names, quotations and very short texts have no language.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from pointsman.classify.code import mostly_code
from pointsman.classify.identifier import ALIASES, load_identifier


def _split(words: str) -> frozenset[str]:
    return frozenset(words.split())


CERTAIN = 20.0
"""The factor by which the best declared language must be more or less likely than the best of the others."""
HEAD, TAIL = 400, 200
"""Characters of a text that are read."""
MAX_IDENTIFIED_CHARACTERS = 150
"""Characters of their words that are identified; each takes 0.3 µs."""
# A text with fewer words, and fewer letters of a script other than Latin, has no certain language.
MIN_WORDS, MIN_LETTERS = 2, 4

ENGLISH = _split(
    "the what how why when where which who whose with and does should would could from this that those you your it's "
    "i'm i've don't doesn't can't between into there they she were because about after before while both much many "
    "without"
)
"""Words of almost no other language."""
OFTEN_ENGLISH = ENGLISH | _split(
    "not been these each then in to me my do on of is am are at be by he or so as it if an no we was has have for any "
    "some"
)
MIN_ENGLISH_WORDS, ENGLISH_SHARE = 2, 4
"""A text with two different words of the first kind, and a quarter of the second, is in English."""

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|\b[a-z]{2,12}://\S+", re.DOTALL)
_QUOTATION = re.compile(r'"[^"\n]*"|“[^“”\n]*”|„[^„“”\n]*[“”]|«[^«»\n]*»|「[^「」\n]*」')
_SENTENCE_END = re.compile(r"[.!?:;…؟]\s+|[\n。？！]+")
# A word is letters and marks of any script between spaces and punctuation. With anything else inside, it is code, a
# number or an address.
_OTHER = r"\s\x00-\x40\[-`{-\x7f¿¡«»“”„‘’…–—，、：；（）·「」"
_WORD = re.compile(
    r"(?<![^\s，、：；（）·])[(\[\"'“”„«‘’¿¡*_—–-]*"
    rf"([^{_OTHER}]+(?:['’-][^{_OTHER}]+)*)"
    r"[)\]\"'“”«»‘’.,;:!?…*_—–؟،-]*(?![^\s，、：；（）·])"
)
# A single letter, unless it has an accent or is a sign that stands for a word: x, α.
_SYMBOL = re.compile("[\x00-\x7f\u0250-\u2e7f]")
_OTHER_SCRIPT = re.compile("[\u0370-\u1dff\u2e80-\U000fffff]")


@dataclass(frozen=True, slots=True)
class DetectedLanguage:
    """The language of a text (ISO 639-1) or None if not certain, and whether the classifier is for such texts."""

    language: str | None
    supported: bool


UNCERTAIN = DetectedLanguage(None, supported=True)


class LanguageGate:
    """A judge of texts by the languages that an artifact declares; several threads may use it."""

    def __init__(self, declared: Iterable[str]) -> None:
        """Take `declared`, some of LANGUAGES."""
        self._declared = frozenset(ALIASES.get(language, language) for language in declared)
        self._identifier = load_identifier()

    def judge(self, text: str) -> DetectedLanguage:
        """Return the language of a text, and whether it is declared.

        If its first or last sentence alone is in a declared language, that sentence is the question, and the other text
        its subject. A text that is mostly code is judged as code, though its language is known.
        """
        sentences = _sentences(text)
        whole = self._identify(list(chain.from_iterable(sentences)))
        if not whole.supported and len(sentences) > 1:
            for detected in map(self._identify, (sentences[0], sentences[-1])):
                if detected.supported and detected.language is not None:
                    return detected
        if not whole.supported and mostly_code(text):
            return DetectedLanguage(whole.language, supported=True)
        return whole

    def _identify(self, words: list[str]) -> DetectedLanguage:
        text = " ".join(words)
        if "en" in self._declared and _is_english(words) and _OTHER_SCRIPT.search(text) is None:
            return DetectedLanguage("en", supported=True)
        if len(words) < MIN_WORDS and len(_OTHER_SCRIPT.findall(text)) < MIN_LETTERS:
            return UNCERTAIN
        if len(text) > MAX_IDENTIFIED_CHARACTERS:
            text = text[:MAX_IDENTIFIED_CHARACTERS].rpartition(" ")[0] or text[:MAX_IDENTIFIED_CHARACTERS]
        ranked = self._identifier.rank(text)
        language, likelihood = ranked[0]
        supported = language in self._declared
        rival = next((value for name, value in ranked if (name in self._declared) is not supported), 0.0)
        return DetectedLanguage(language, supported) if likelihood >= CERTAIN * rival else UNCERTAIN


def _is_english(words: list[str]) -> bool:
    """Return whether a text has common words of English sentences.

    Identifying a short text takes a tenth of its classification: each run of the graph evicts the identifier's tables
    from the CPU's caches.
    """
    often = sum(map(OFTEN_ENGLISH.__contains__, words))
    return ENGLISH_SHARE * often >= len(words) and len(ENGLISH.intersection(words)) >= MIN_ENGLISH_WORDS


def _sentences(text: str) -> list[list[str]]:
    """Return the words of each sentence that has some, without code and quotations."""
    if len(text) > HEAD + TAIL:
        text = f"{text[:HEAD]}\n{text[-TAIL:]}"
    text = _QUOTATION.sub(" ", _CODE.sub(" ", text))
    if text.isupper():
        text = text.lower()
    found = [_words(sentence) for sentence in _SENTENCE_END.split(text)]
    return [words for words in found if words]


def _words(sentence: str) -> list[str]:
    """Return the words in lower case, without names, which have a capital inside a sentence, and without symbols."""
    words = [word for word in _WORD.findall(sentence) if not _SYMBOL.fullmatch(word)]
    return [word.lower() for word in words[:1]] + [word for word in words[1:] if word == word.lower()]
