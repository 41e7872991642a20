"""Recognize the tasks that front ends and frameworks give the model by themselves; pure, bounded.

A task is known by how its instruction opens (tasks.txt), or by its subject: it orders a thing that only such tasks
make (a title, search queries, a grade), from a conversation, a question, or an answer. In both cases, its words name no
other subject, and the text as a whole looks like a template: it says how to write the answer, or has a place for the
answer. A person may write one of these alone, too. The instruction is at the beginning of the message or of the system
prompt, or after a transcript.
"""

from __future__ import annotations

import re
import string
from itertools import pairwise

from pointsman.routing.ask import tasks, words
from pointsman.routing.ask.prose import spaced, spaces_for

# An instruction is at the very beginning; how to answer may be said further on.
_OPENING = 300
_LOOKED_AT = 3000
# A paragraph of this length ends the opening of a message: what follows may be material.
_FIRST = 50
# A shorter text is no template.
_MIN_TEMPLATE_CHARACTERS = 60
# What is ordered stands close behind the verb, and one word in _FOREIGN may name another subject.
_REACH = 12
_FOREIGN = 6
# Behind the opening of a known client more words may, and still more behind a long one, which is no chance.
_GOES_ON, _GOES_ON_SURELY = 4, 2
# An opening is shorter.
_MAX_OPENING_CHARACTERS = 200
# One phrase that says how to answer may be a person's.
_MIN_ANSWER_PHRASES = 2
# Nobody opens with eight words of a template by chance, nor with six where more lines follow. Behind fewer, one line
# alone is a person's, unless it is a system prompt.
_SURE_WORDS = 8
_LONG_WORDS = 6
# In another language, it may be said at the end, too, that nothing else is wanted.
_END_CHARACTERS = 200
# The instruction behind a transcript has no more lines, and no more characters.
_LAST_LINES = 12
_LAST_CHARACTERS = 1000

_LETTERS = spaces_for(string.punctuation + string.digits)
_MARKUP = spaces_for('#*_`<>[]|-"()')
_LABELS = spaces_for('#*_`<>[]|-"():')
_SENTENCE = re.compile(r"[.!?;:](?: |\Z)|\n")
# A template with material first says this after the material.
_ASKED_BELOW = re.compile(
    r"(?:^|[.:,;] )(?:then |now |please )?(?:answer|respond to) (?:the|this|my|following|user)"
    r"[^.\n]{0,40}(?:question|query|request)",
    re.MULTILINE,
)
# "Answer 1 for yes and 0 for no", "output A, B or tie": the answer is one of these.
_CHOICE = re.compile(
    r"\b(?:answer|reply|respond|output|return|write)(?: with| either)* [\"'`\[]?[\w-]+[\"'`\]]?"
    r"(?:, [\"'`\[]?[\w-]+[\"'`\]]?){0,4},? (?:or|if|for) "
)
# The name of a template's slot for its material.
_SLOT = re.compile(
    r"\n[ \t#*_\[<>-]{0,8}(?:[a-z']+[ _]){0,2}(?:question|query|message|request|prompt|utterance|user|human|customer|q"
    r"|conversation|transcript|history|reply|response|answer|passage|evidence|instruction|statement|claim|sentence|text"
    r"|input)(?:s| ?[a-d]| ?\d)?[*_ ]{0,4}[\]>:\n]",
    re.IGNORECASE,
)
_ROLES = "human|user|customer|client|you|ai|assistant|bot|model|agent|system"
_TURN = re.compile(rf"\W{{0,8}}(?:{_ROLES})\b[^:\n]{{0,20}}:", re.IGNORECASE)
# The introduction of a transcript, or of a text to judge.
_LEAD = re.compile(r"(?P<words>[A-Za-z #*']{3,80}):")
_CHECKS = (["does"], ["do"], ["is"], ["are"])
# Characters around the place of the answer at the end of a template.
_PLACE = ' \n"`'
_ANSWER = ("answer", "respond", "help")
_THEN = ("then", "and", "please", "now")
_PLACES = ("output", "answer", "response", "result", "title", "json", "assistant")

# A tool's result that a client sends as text.
_RESULT = r"(?:observation|call id|exit ?code|(?:code|tool|command|function|query) (?:output|result))s?\b[^:\n]{0,20}+:"
_IS_RESULT = re.compile(rf"\s*+{_RESULT}", re.IGNORECASE)
# A template may insert somebody else's text here.
_MATERIAL = re.compile(
    r"[ \t]*+(?:\{\s*+\"|<(?!/|task|instruct|rules|goal|role)|\[(?!instruct|task|inst)|```|\"\"\"|---|===|"
    rf"{_RESULT}|"
    r"(?P<label>(?!task|instruct|rule|goal|role|output|example)[a-z][\w ]{0,70}+:[ \t]*+(?:\n|\Z)))"
)
_ENDS = ("```", "---", '"""', "===", "[/", "[end")
# A person may ask about these in one line only, and after the output of a command or a query.
_STEPS = ("observation", "call id", "exit", "tool")
# A harness complains about the model's last answer. After "[ERROR] " it need not ask for another.
_RETRY = re.compile(
    r"\s*+(?P<error>\[error\] )?(?:you did not use a tool\b|could not parse\b|(?:\d++ )?validation errors?\b|"
    r"(?:your|the) (?:last|previous) (?:reply|response)\b[^\n.!?]{0,60}?\b(?:tool|json|schema|valid|format|parsed)\b)",
    re.IGNORECASE,
)
_AGAIN = ("again", "retry", "respond with", "reply with", "answer with")
_BY_FIRST = {
    word: tuple([opening for opening in tasks.OPENINGS if opening.partition(" ")[0] == word])
    for word in [opening.partition(" ")[0] for opening in tasks.OPENINGS]
}
# Most texts are ASCII, so half of the words cannot occur in them.
_ASCII_ORDERS = [[tuple(filter(str.isascii, group)) for group in groups] for groups in tasks.FOREIGN_ORDERS]
_ASCII_LIMITS = tuple(filter(str.isascii, tasks.FOREIGN_LIMITS))
_HEADINGS = frozenset(["task", "tasks", "instruction", "instructions", "role", "system", "prompt", "objective"])
# An example, or a list of choices.
_EXAMPLE = re.compile(r"\[[^\[\]\n]{0,200}+\]|\([^()\n]{0,200}+\)")
_CHOICES = re.compile(r"\b[\w-]{1,20}(?:, [\w-]{1,20}){1,6},? or [\w-]{1,20}")


def is_helper(text: str, system: str, ask: str | None = None) -> bool:
    """Return whether a message, with its system prompt, is a helper task; `ask`: the message without material."""
    if len(text) < 40 and text.strip().lower().rstrip(":") in _PLACES and system:
        return True  # nothing but the place of the answer: everything is in the system prompt
    return _opens(text, ask or text, system=False) or _closes(text) or _opens(system, system, system=True)


def _opens(text: str, ask: str, *, system: bool) -> bool:
    """Return whether a text begins with the instruction of a helper task, which is in `ask`."""
    if len(text) < _MIN_TEMPLATE_CHARACTERS:
        return False
    if _is_known(text[:_OPENING].lower(), text, system=system):
        return True
    begin = _before_material(ask[:_OPENING].lower())
    if not system:
        blank = begin.find("\n\n", _FIRST)
        begin = begin if blank < 0 else begin[:blank]
    listed = spaced(begin, _LETTERS).split()
    if _is_foreign(begin, text):
        return True
    if tasks.ABOUT.isdisjoint(listed):
        return False
    after = None if system else _text_after(text, ask, len(begin))
    return _is_task(begin, listed, ask, after, answer_slot=_ends_with_answer_slot(text))


def _text_after(text: str, ask: str, size: int) -> str:
    """Return the text after this many characters of `ask`, with which the text begins or ends."""
    at = size if text.startswith(ask) else text.rfind(ask) + size
    return text[at : at + _LOOKED_AT]


def _closes(text: str) -> bool:
    """Return whether the instruction of a helper task is after a transcript, or after text enclosed in tags."""
    if not _begins_with_material(text[: 2 * _FIRST].lstrip()):
        return False
    end = text[-_LAST_CHARACTERS:]
    for line in map(str.strip, reversed(end.lower().rsplit("\n", _LAST_LINES)[1:])):
        if _ends_material(line):
            return False
        if len(line) <= _FIRST:
            continue
        listed = spaced(line, _LETTERS).split()
        if _is_known(line, text):
            return True
        if _is_task(line, listed, end, answer_slot=_ends_with_answer_slot(end)):
            return True
    return False


def _ends_material(line: str) -> bool:
    return line.startswith(_ENDS) or line.endswith(">") or _TURN.match(line) is not None


def _begins_with_material(begin: str) -> bool:
    """Return whether a text begins with a tag, data, a turn, or an introduction of one."""
    if begin.startswith(("<", "[{", "```")) or _TURN.match(begin) is not None:
        return True
    lead = _LEAD.match(begin)
    return lead is not None and not tasks.ABOUT.isdisjoint(lead["words"].lower().split())


def _is_known(begin: str, text: str, *, system: bool = False) -> bool:
    """Return whether a lower-case instruction opens as that of a known client does, and continues as a template."""
    size, line = _opening(begin[:_MAX_OPENING_CHARACTERS])
    sure = size >= _SURE_WORDS
    return size > 0 and _goes_on(line, sure=sure) and (sure or _is_template(size, text, system=system))


def _is_template(size: int, text: str, *, system: bool) -> bool:
    """Return whether a text with an opening of this many words has further lines, or says how to answer."""
    long, lines = size >= _LONG_WORDS, "\n" in text.strip()
    if (long and lines) or _ends_with_answer_slot(text):
        return True
    return (long or lines or system) and _answers(text) >= _MIN_ANSWER_PHRASES


def _opening(begin: str) -> tuple[int, str]:
    """Return the number of words of a known client's opening, and the rest of their line; 0 if there is none."""
    first = _unmarked(begin[:_FIRST], _LABELS).split(maxsplit=1)
    if len(first) > 1 and first[0] not in _BY_FIRST and first[0] not in _HEADINGS:
        return 0, ""  # most do
    listed = _unmarked(begin, _LABELS).split()
    headings = next((index for index, word in enumerate(listed) if word not in _HEADINGS), len(listed))
    instruction = " ".join(listed[headings:])
    opening = next(filter(instruction.startswith, _BY_FIRST.get(instruction.partition(" ")[0], ())), None)
    if opening is None:
        return 0, ""
    size = len(opening.split())
    rest = _unmarked(begin, _MARKUP).split(maxsplit=headings + size)[headings + size :]
    return size, rest[0].partition("\n")[0] if rest else ""


def _goes_on(line: str, *, sure: bool) -> bool:
    """Return whether a template's line may go on like this: with hardly a word of a subject, none of the person."""
    goes_on = _words(_SENTENCE.split(line, maxsplit=1)[0])
    foreign = _foreign(goes_on) * (_GOES_ON_SURELY if sure else _GOES_ON)
    return foreign <= len(goes_on) and words.PERSONAL.isdisjoint(_words(line))


def _is_task(begin: str, listed: list[str], text: str, after: str | None = None, *, answer_slot: bool) -> bool:
    """Return whether a lower-case instruction of these words is a helper task's; `text` tells how to answer.

    `after` is the text after the instruction, None if that is another message or nothing. `answer_slot`: the text ends
    with the answer's place.
    """
    if tasks.VERBS.isdisjoint(listed):
        return False
    sentences = [_words(sentence) for sentence in _SENTENCE.split(_unmarked(_without_asides(begin), _MARKUP))]
    if any(map(_is_answered, sentences)):
        return False
    if not _orders_task(sentences, begin, text, after, answer_slot=answer_slot):
        return False
    return _ASKED_BELOW.search(text[max(_FIRST, len(text) - _LAST_CHARACTERS) :].lower()) is None


def _orders_task(sentences: list[list[str]], begin: str, text: str, after: str | None, *, answer_slot: bool) -> bool:
    """Return whether an instruction orders such a task, and says how to answer."""
    if _operates(sentences, after) and (answer_slot or _answers(begin)):
        return True
    orders = any(map(_orders, sentences)) or any(map(_judges, sentences))
    return orders and _answers(text) + answer_slot >= _MIN_ANSWER_PHRASES


def _without_asides(ask: str) -> str:
    """Return the text without parts that may name a subject of their own: examples and choices."""
    if "[" in ask or "(" in ask:
        ask = _EXAMPLE.sub("", ask)
    return _CHOICES.sub("", ask) if " or " in ask and ", " in ask else ask


def _is_foreign(begin: str, text: str) -> bool:
    """Return whether the beginning of a lower-case text orders such a task in a language other than English."""
    searched = f"{begin}\n{text[-_END_CHARACTERS:].lower()}"
    if not any(map(searched.__contains__, _ASCII_LIMITS if searched.isascii() else tasks.FOREIGN_LIMITS)):
        return False
    orders = _ASCII_ORDERS if begin.isascii() else tasks.FOREIGN_ORDERS
    return any(all(any(map(begin.__contains__, group)) for group in groups) for groups in orders)


def _unmarked(text: str, marks: bytes) -> str:
    return spaced(text.replace("“", " ").replace("”", " "), marks)


def _words(text: str) -> list[str]:
    return [word if word.isalpha() else word.strip(",.;:!?'’").removesuffix("'s") for word in text.split()]


def _is_answered(sentence: list[str]) -> bool:
    """Return whether a sentence orders an answer to what the user asked."""
    if tasks.ASKED.isdisjoint(sentence):
        return False
    around = zip(["then", *sentence], sentence, strict=False)
    return any(word in _ANSWER and last in _THEN for last, word in around)


def _orders(listed: list[str]) -> bool:
    """Return whether a sentence orders something that only helper tasks make, and names no subject of its own."""
    if listed[:1] in _CHECKS and not tasks.CHECKS.isdisjoint(listed):
        return _is_neutral(listed)
    for index, verb in enumerate(listed):
        if verb not in tasks.THINGS:
            continue
        things = tasks.THINGS[verb]
        for last, word in pairwise(listed[index : index + _REACH]):
            if last != "no" and (word in things or f"{last} {word}" in things):
                return _is_neutral(listed) and words.OWN.isdisjoint(listed)
    return False


def _judges(listed: list[str]) -> bool:
    """Return whether a sentence asks about a user's words in a way that only a program does."""
    wants = not tasks.DECIDES.isdisjoint(listed) or not tasks.ASKED_ABOUT.isdisjoint(listed[:1])
    if not wants or not words.PERSONAL.isdisjoint(listed):
        return False
    return _speaks_of_users(listed) and _is_neutral(listed)


def _speaks_of_users(listed: list[str]) -> bool:
    """Return whether words speak of a user's message."""
    return any(
        word in tasks.SPEAKERS and not tasks.SAYINGS.isdisjoint(listed[index + 1 : index + 3])
        for index, word in enumerate(listed)
    )


def _operates(sentences: list[list[str]], after: str | None) -> bool:
    """Return whether a text begins with an order without subject to process the following text, such as to grade it.

    Only a program calls somebody a user, and inserts questions and conversations under their names.
    """
    listed = [word for sentence in sentences for word in sentence]
    if not words.PERSONAL.isdisjoint(listed) or tasks.OPERATES.isdisjoint(listed):
        return False
    named = tasks.RESOURCES.isdisjoint(listed)
    if not _is_neutral(listed) or not any(_begins_to_operate(one, named=named) for one in sentences):
        return False
    if after is None or _SLOT.search(after) is not None:
        return True
    return _speaks_of_users(listed) and any(_begins_to_operate(one, named=False) for one in sentences)


def _begins_to_operate(listed: list[str], *, named: bool) -> bool:
    """Return whether a sentence orders an operation on somebody's words, or on a text `named` below."""
    first = listed[:1]
    said = named or not tasks.SAID.isdisjoint(listed)
    if not tasks.ASKED_ABOUT.isdisjoint(first) or (first == ["do"] and listed[1:2] == ["these"]):
        return (said or "message" in listed) and listed[1:2] != ["you"]
    given = not tasks.GIVENS.isdisjoint(first)
    for last, word in zip(["then", *listed], listed, strict=False):
        if word in tasks.OPERATIONS and (given or last in tasks.BEFORE):
            return said
    return False


def _is_neutral(listed: list[str]) -> bool:
    """Return whether words name hardly any subject."""
    return _foreign(listed) * _FOREIGN <= max(_FOREIGN, len(listed))


def _foreign(listed: list[str]) -> int:
    """Return the number of words that name a subject of their own."""
    return len({one for one in listed if one.isalpha()} - tasks.NEUTRAL)


def _before_material(begin: str) -> str:
    """Return the lines before the material."""
    at = 0
    while True:
        found = _MATERIAL.match(begin, at)
        if found is not None and (at or found["label"] is None):
            return begin[:at]
        at = begin.find("\n", at) + 1
        if not at:
            return begin


def _answers(text: str) -> int:
    """Return the number of phrases that say how to answer; "label only" is one, though "only" is another elsewhere."""
    looked_at = text[:_LOOKED_AT].lower()
    found = [phrase for phrase in tasks.STRICT if phrase in looked_at]
    contained = [phrase for phrase in found if any(phrase in other for other in found if other != phrase)]
    return len(found) - len(contained) + (_CHOICE.search(looked_at) is not None)


def _ends_with_answer_slot(text: str) -> bool:
    """Return whether a text ends at the place of the answer."""
    return text.rstrip(_PLACE).endswith(":")


def is_retry(text: str) -> bool:
    """Return whether no person wrote a text: a harness complains about an answer, or gives a tool's result."""
    retry = _RETRY.match(text)
    if retry is None and _IS_RESULT.match(text) is None:
        return False
    before, _, last = text[-_LAST_CHARACTERS:].strip().rpartition("\n")
    if retry is None:
        return not _asks_about(text, last, alone=not before)
    own = text[:_OPENING].strip().partition("\n")[0] + " " + last
    mine = "?" in own or not words.PERSONAL.isdisjoint(_words(own.lower()))
    return not mine and (retry["error"] is not None or any(map(own.lower().__contains__, _AGAIN)))


def _asks_about(result: str, last: str, *, alone: bool) -> bool:
    """Return whether a person asks about a tool's result in its last line, which is the whole text if `alone`."""
    if not last.endswith("?"):
        return False
    if not result[:_FIRST].lstrip().lower().startswith(_STEPS):
        return True
    return alone and not words.PERSONAL.isdisjoint(_words(last.lower()))
