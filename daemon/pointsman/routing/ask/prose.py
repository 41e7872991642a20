"""Judge by its words whether a paragraph asks, frames a question, or is material; pure, bounded."""

from __future__ import annotations

import re

import msgspec

from pointsman.routing.ask import words
from pointsman.routing.ask.evidence import ASKS, Evidence

# A paragraph asks at its beginning or its end.
MAX_END_CHARACTERS = 250
_END = 200
_CLAUSES = 122
# An instruction has few words before its verb.
_FIRST_WORDS = 6
# A later pronoun may refer to the text itself.
_POINTING = 8
# A title such as "Design note. " has no more words.
_TITLE = 3
# The beginning of a line tells enough, at little cost.
_FIRST_CHARACTERS = 80
# The first characters tell the script.
_SCRIPT_CHARACTERS = 80

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
# Characters between words of ASCII text, for which no pattern is needed.
_BETWEEN = "".join([chr(code) for code in range(128) if not chr(code).isalpha() and chr(code) != "'"])
_QUESTION = re.compile(r"[?？؟](?=[\s\"'”’»)\]}*]|\Z)")
_LATER = re.compile(
    r"[,;.:] (?:how|what|when|where|which|why|who|should|can|could|is|are|am|do|does|did) "
    r"(?:i|we|you|my|the|it|this|that|settings?|one|there)\b",
    re.IGNORECASE,
)
_PERSONA = re.compile(
    r"i (?:want|would like) you to (?:act|be|play)|act as |imagine (?:that )?you |pretend |from now on|you are |"
    r"you're |you will |your (?:job|role|task|name) is|as an ai|before you answer|play the part"
)
_COURTESY = re.compile(
    r"(?:hi|hello|hey|dear|good (?:morning|day|evening)|thanks|thank you|many thanks|best|kind|regards|cheers|yours|"
    r"sincerely|looking forward|merci|gracias|danke|mit freundlichen|cordialement)\b"
)
# An instruction is shorter, and the text to which it applies longer.
_INSTRUCTION = 250
_OBJECT = re.compile(r":?\s*\n|: ")
_TO_TEXT = frozenset(["this", "these", "following", "below", "above", "it", "text", "document", "article", "passage"])
# Words that may precede the verb, or replace it.
_REQUEST = re.compile(
    r"(?:please |hi |hello |hey )?(?:(?:can|could|will|would) you |i (?:need|want|would like) you to |"
    r"your (?:task|job) is to |(?:give|write|make|create|provide)(?: me)? an? (?=(?:\w+ )?(?:summary|translation)\b))",
    re.IGNORECASE,
)
_RESULTS = frozenset(["summary", "translation"])
# An instruction about one of these may precede a question.
_ASKED = frozenset(["question", "questions", "query", "queries", "answer", "request", "instruction", "instructions"])
_COURTESY_CHARACTERS = 200
_LEADING = re.compile(
    r"(?:given|based|using|with|now|from|considering|after|in view)\b[^,.?!\n]{0,80}, ", re.IGNORECASE
)
_LEADERS = frozenset(["given", "based", "using", "with", "now", "from", "considering", "after", "in"])
_SENTENCE = re.compile(r"[.!?:;] +|\n+|,? and (?=[a-z])")
_POINTER = re.compile(r"\s?+(?:'[^'\n]{1,200}' )?\(see (?:below|above) for [a-z ]{1,40}\)|\s@[\w./-]{3,200}+\Z")
# Text that a client adds to an ask about the files and pages around.
_ASIDE = re.compile(
    r"\s\((?:see|note|refer|attached|use|from|via|sent|with|the|you|this)\b[^()]{8,300}\)\Z", re.IGNORECASE
)
_RULE = re.compile(
    r"please (?:think|keep|be|remember|reply|respond|format|answer in) |"
    r"confirm |represent|never |always |do not |don't |use |no |reply |respond |return |output |format |keep |stay |"
    r"write (?:for|in) |at most |deliver |be |give (?:the|your|only)|only |strings |think |let's |put your |when you |"
    r"if (?:you|i) |remember|reminder|note:|follow |cite |go on |begin |you (?:may|can|must|should|have|get|never) |"
    r"for (?:example|the schema)|where (?:the|it|they|no|there) |"
    r"(?:the|a|your) (?:answer|reply|response|output|modified|final) "
)
_QUOTES = {'"': '"', "“": "”", "«": "»", "'": "'", "‘": "’"}
_MENTION = re.compile(r"<?@[\w.-]+>?[,:]?\s*")
_MENTIONS = ("@", "<@")
_LEAD = " \n\t-*•#>0123456789.)(\"'«“‘"


def spaces_for(chars: str) -> bytes:
    """Return the table by which `spaced` replaces these ASCII characters with spaces."""
    return bytes([ord(" ") if chr(code) in chars else code for code in range(256)])


def spaced(text: str, table: bytes) -> str:
    """Return a text with spaces by a table; translating bytes takes a quarter of the time."""
    return text.encode(errors="surrogatepass").translate(table).decode(errors="surrogatepass")


_SPACES = spaces_for(_BETWEEN)


class WordList(msgspec.Struct, frozen=True, gc=False):
    """Words in lower case, in order, and the distinct ones."""

    listed: list[str]
    known: set[str]


NO_WORDS = WordList([], set())

# Words of a task that says only what to do with which document.
_SHORT_TASK = 8
_ORDERS = words.IMPERATIVES | words.TRANSFORMS
_WORKED_ON = frozenset(["above", "below", "document", "documents", "passages"])


def words_in(text: str) -> WordList:
    """Return the words of a text's beginning."""
    begin = text[:MAX_END_CHARACTERS].lower()
    listed = begin.encode().translate(_SPACES).decode().split() if begin.isascii() else _WORD.findall(begin)
    return WordList(listed, set(listed))


def content(found: WordList) -> int:
    """Return the number of distinct words that tell a subject."""
    lengths = [*map(len, found.known - words.FRAMES)]
    return len(lengths) - lengths.count(1)


def content_words(found: WordList) -> set[str]:
    """Return the words that tell a text's subject."""
    return found.known - words.FRAMES - words.VERBS


def may_ask(text: str) -> bool:
    """Return cheaply whether a text may ask: it has a question mark, or a line begins with a verb."""
    if "?" in text or not text.isascii():
        return True
    return any(not words.VERBS.isdisjoint(line[:_FIRST_CHARACTERS].lower().split()) for line in text.split("\n"))


def asks(text: str, found: WordList, *, forwarded: bool = False, named: bool = False) -> int:
    """Return how much a paragraph looks like a person's ask; from ASKS on, it surely asks."""
    tail = text[-_END:]
    question = _has_question(tail)
    last = question and tail.rstrip(" \n\"'”’»)*")[-1:] in "?？؟"
    order = _begins_with_order(text, found)
    personal = not words.PERSONAL.isdisjoint(found.known)
    sure = last or order or (question and personal)
    later = not sure and _asks_later(text, found)
    return Evidence(question, last, later, order, personal, forwarded, named).score


def _has_question(tail: str) -> bool:
    return ("?" in tail or "？" in tail or "؟" in tail) and _QUESTION.search(tail) is not None


def _asks_later(text: str, found: WordList) -> bool:
    if len(text) <= MAX_END_CHARACTERS and words.INTERROGATIVES.isdisjoint(found.known):
        return False
    return _LATER.search(text[-_CLAUSES:]) is not None


def _begins_with_order(text: str, found: WordList) -> bool:
    """Return whether a paragraph begins with a verb or an interrogative, after an addressee and courtesies."""
    begin, first_words = text, found.listed
    lead = _LEADING.match(text) if first_words and first_words[0] in _LEADERS else None
    if lead is not None or text.startswith(_MENTIONS):
        begin = _without_mention(text if lead is None else text[lead.end() :])
        first_words = words_in(begin).listed
    first = _first(first_words)
    return first in words.VERBS and begin.lstrip(_LEAD)[0].isalpha() and not _is_name(begin, first)


def _is_name(begin: str, verb: str) -> bool:
    """Return whether an apparent verb is a name, such as a title in "Review. I liked it", or that of a field."""
    at = begin[:MAX_END_CHARACTERS].lower().find(verb) + len(verb)
    mark = begin[at : at + 1]
    if mark == ":":
        return verb not in words.TRANSFORMS
    if mark in (".", "@", "_") or (verb in words.INTERROGATIVES and mark == ","):
        return True
    title, stop, _ = begin[:_FIRST_CHARACTERS].lower().partition(". ")
    return bool(stop) and verb in words.NOUNS and title.count(" ") < _TITLE and words.FUNCTION.isdisjoint(title.split())


def _first(listed: list[str]) -> str | None:
    """Return the first word after courtesies."""
    for word in listed[:_FIRST_WORDS]:
        if word not in words.COURTESIES:
            return word
    return None


def is_frame(text: str, found: WordList) -> bool:
    """Return whether a paragraph only says that something must be answered, by whom, or in which form."""
    if _is_template(found) or (text[:1] + text[-1:] in ("()", "[]") and "?" not in text):
        return True
    begin = text[:60].lower().lstrip(_LEAD)
    if _PERSONA.match(begin) is not None:
        return not any(_wants(sentence) for sentence in _SENTENCE.split(text[: 2 * MAX_END_CHARACTERS])[1:])
    return "?" not in text and (_is_courtesy(text, begin, found) or _RULE.match(begin) is not None)


def _is_template(found: WordList) -> bool:
    """Return whether a paragraph has words of a template, and hardly a word of a subject."""
    template = words.TEMPLATES & found.known
    if not template or (template <= _WORKED_ON and _is_task(found)):
        return False
    many, of = content(found), len(found.listed)
    return many <= max(1, of // 7) or (len(template) > 1 and many <= of // 4)


def _is_task(found: WordList) -> bool:
    """Return whether a paragraph only orders something that can be done to any text."""
    return len(found.listed) <= _SHORT_TASK and not words.TASKS.isdisjoint(found.listed[:1])


def _is_courtesy(text: str, begin: str, found: WordList) -> bool:
    """Return whether a paragraph is a greeting or a signature."""
    if len(text) > _COURTESY_CHARACTERS or _COURTESY.match(begin) is None:
        return False
    first, end, _ = text.partition("\n")
    return content(found) < 4 or (bool(end) and first.endswith(","))


def _wants(sentence: str) -> bool:
    """Return whether a sentence asks for something of its own."""
    found = words_in(sentence)
    begin = found.listed
    if content(found) < 3:
        return False
    return begin[0] == "i" or asks(sentence, found) > 1


def is_quoted(text: str) -> bool:
    """Return whether a whole paragraph is a quotation: a person may forward somebody's question."""
    return text[:1] in "«“„" and text[-1:] in "»”“"


def instruction(text: str) -> tuple[int, int] | None:
    """Return the position of an instruction to translate or summarize the other text, before or after that text."""
    if "\n" not in text and ": " not in text:
        return None  # most texts ask
    return _instruction_before(text) or _instruction_after(text)


def _instruction_before(text: str) -> tuple[int, int] | None:
    end = _OBJECT.search(text, endpos=_INSTRUCTION) if _transforms(_ordered(text[:_INSTRUCTION])) else None
    found = [] if end is None else _instruction_words(text[: end.start()])
    if end is None or not found:
        return None
    long = len(text) - end.end() >= _INSTRUCTION
    return (0, end.start()) if long or _takes(found, end.group(), text[end.end() :]) else None


def _instruction_after(text: str) -> tuple[int, int] | None:
    last = len(text.rstrip())
    begin = text.rfind("\n", max(0, last - _INSTRUCTION), last) + 1
    if not begin or text[:begin].isspace():
        return None
    found = _instruction_words(text[begin:last])
    return (begin, last) if found and _is_about_text(found) else None


def _takes(found: list[str], between: str, after: str) -> bool:
    """Return whether an instruction is about a short text after it, in the same line or below."""
    if "\n" in between:
        return _is_about_text(found)
    if "\n" in after.strip():
        return False
    first = _first(found)
    return first in words.RENDERS or (first in words.DIGESTS and not after.rstrip().endswith("?"))


def _instruction_words(text: str) -> list[str]:
    """Return the words of an instruction that decides by itself, whatever text it applies to."""
    ordered = _ordered(text)
    if not _transforms(ordered) or "?" in ordered[:-1] or (text.endswith("?") and ordered == text):
        return []
    found = words_in(ordered).listed
    return found if text.lstrip(_LEAD)[0].isalpha() and _ASKED.isdisjoint(found) else []


def _is_about_text(found: list[str]) -> bool:
    return len(found) < 2 or not _TO_TEXT.isdisjoint(found)


def _transforms(ordered: str) -> bool:
    listed = words_in(ordered[:_FIRST_CHARACTERS]).listed
    return _first(listed) in words.TRANSFORMS or not _RESULTS.isdisjoint(listed[:2])


def _ordered(text: str) -> str:
    """Return an instruction without a first sentence that says who answers, and without courtesies."""
    request = _REQUEST.match(text)
    if request is None and _PERSONA.match(text[:60].lower()) is not None:
        text = text.partition(". ")[2]
        request = _REQUEST.match(text)
    return text if request is None else text[request.end() :]


def leads(line: str) -> bool:
    """Return whether a line is a frame: if it ends with a colon, the question follows."""
    return is_frame(line, words_in(line))


def without_pointers(text: str) -> str:
    """Return an ask without words that introduce it after material, and without the paths of files that it names."""
    text = _without_mention(text)
    lead = _LEADING.match(text)
    if lead is not None and not content(words_in(lead.group())):
        text = text[lead.end() :]
    if "(see " in text or "@" in text:
        text = _POINTER.sub("", text)
    text = text.strip()
    if (aside := _ASIDE.match(text, text.rfind("(") - 1)) is not None:
        found = words_in(aside.group())
        if content(found) <= len(found.listed) // 4:
            text = text[: aside.start()]
    return text


def _without_mention(text: str) -> str:
    """Return a text without its addressee, such as "@bot"."""
    mention = _MENTION.match(text)
    return text if mention is None else text[mention.end() :]


def unquoted(text: str) -> str:
    """Return a text without the quotation marks around it."""
    plain = text.rstrip(" .;")
    if len(plain) < 3 or plain[0] not in _QUOTES:
        return text
    mark = _QUOTES[plain[0]]
    if plain[-1] == mark:
        return plain[1:-1].strip(' "')
    inner, end, _ = plain[1:].partition(f"{mark} ")
    return inner.strip(' "') if end and asks(inner, words_in(inner)) >= ASKS else text


def has_function_words(found: WordList) -> bool:
    """Return whether there are function words of English."""
    return not words.FUNCTION.isdisjoint(found.known)


def is_english(text: str, found: WordList) -> bool | None:
    """Return whether a paragraph is in English, or None if it is too short to tell."""
    if not words.ENGLISH.isdisjoint(found.known):
        return True
    if len(words.NOT_ENGLISH & found.known) > 1:
        return False
    begin = text[:_SCRIPT_CHARACTERS]
    if begin.isascii():
        return None
    return False if _is_foreign(begin, len(found.listed)) else None


def _is_foreign(begin: str, words_found: int) -> bool:
    """Return whether a text has letters that English lacks."""
    letters = [char for char in begin if char.isalpha()]
    foreign = sum(not char.isascii() for char in letters)
    return (words_found > 3 and foreign > 0) or (len(letters) > 7 and foreign > len(letters) / 3)


def may_be_english(text: str) -> bool:
    """Return whether an ask has English words; one is not enough next to letters with accents."""
    found = words_in(text)
    english = len(words.ENGLISH & found.known)
    return english > 1 or (text.isascii() and (english > 0 or not _ORDERS.isdisjoint(found.known)))


def points(found: WordList) -> bool:
    """Return whether a text begins with words that refer to something else; later ones may refer to the text itself."""
    return not words.POINTERS.isdisjoint(found.listed[:_POINTING])


def refers(found: WordList) -> bool:
    """Return whether a text points, or has a pronoun for somebody named elsewhere."""
    return points(found) or not words.PRONOUNS.isdisjoint(found.known)
