"""Recognise the tasks that front ends and frameworks give the model by themselves; pure, bounded.

A task is recognised by its template as a whole: how it opens, what it is about, and how the model must answer, all in
the system prompt or all in the message. One of these alone is what a person may write, too ("summarise our chat").
"""

from __future__ import annotations

import re
from typing import NamedTuple

# A template opens within so many characters, and says how to answer within so many more.
_OPENING = 300
_LOOKED_AT = 3000
# A paragraph of this length ends the opening of a message: what follows may be material.
_FIRST = 50

_LETTERS = {code: " " for code in range(128) if not chr(code).islower()}
_MARKUP = {ord(char): " " for char in "#*_`<>[]|:-"}

_STRICT = (
    "only", "nothing else", "nothing but", "json", "quotation", "quotes", "punctuation", "no other text", "no more",
    "no explanation", "without explanation", "do not answer", "don't answer", "do not include", "concise", "full stop",
    "-word", "words or less", "word title", "words or fewer", "characters", "one line", "per line", "single line",
    "each on", "no full", "respond with", "return", "output", "alone", "lower case", "exactly", "at most", "format",
    "yes or no", "'yes' or 'no'", "score", "verdict", "rating",
)  # fmt: skip


class _Template(NamedTuple):
    """A kind of template: what it does, with what, to what, and how many words at least say how to answer."""

    does: frozenset[str]
    object: re.Pattern[str]
    about: re.Pattern[str]
    answer: int
    in_system: bool


def _template(does: str, what: str, about: str, *, answer: int = 2, in_system: bool = True) -> _Template:
    what_pattern, about_pattern = re.compile(rf"\b(?:{what})"), re.compile(rf"\b(?:{about})")
    return _Template(frozenset(does.split()), what_pattern, about_pattern, answer, in_system)


_CONVERSATION = (
    "conversations?\\b|chat history|chat title|(?:this|our|the) (?:chat|thread|session)\\b|dialog|discussion|"
    "(?:user|human)(?: s|'s)? (?:message|input|query|question|request|first)|follow up question|message history"
)
_TEMPLATES = (
    _template(
        "generate generates create write provide suggest give produce compose analyze come generator summarizer take "
        "name summarize",
        "titles?\\b|name\\b|topic|tags?\\b|follow up|followup|suggested (?:questions|replies)|emoji|intention",
        _CONVERSATION,
    ),
    _template(
        "generate generates write determine analyze create produce suggest rephrase reformulate",
        "(?:search|web|retrieval|alternative) quer|queries\\b|wordings|(?:versions|variations|perspectives) of|"
        "sub ?questions|alternative questions|web search",
        f"{_CONVERSATION}|original (?:question|query)|input query|given (?:question|query)",
        answer=1,
    ),
    _template(
        "rephrase rephrases rephraser rewrite reformulate condense turn make refine formulate complete write",
        "stand ?alone|stands? by itself|question of its own|read on its own|self contained|decontextuali|"
        "in full the question|web search",
        f"{_CONVERSATION}|history|question",
        answer=0,
    ),
    _template(
        "extract analyzer analyser find identify list extractor",
        "keyword|key phrase|entities|facts about|memor",
        f"{_CONVERSATION}|(?:piece of|the|given|input) text",
    ),
    _template(
        "grader judge evaluate evaluator grade assess rate assessing grading",
        "relevan|faithful|helpful|answer(?:s|ed)? (?:correct|to|is)|grounded",
        "document|question|answer|statement|response|context",
    ),
    _template(
        "choose select pick decide route return classify selector router",
        "choices|candidate|categor|available tools|following roles|the tools?\\b|model prompt|destinations|"
        "next speaker|agents?\\b",
        "(?:user|the|given|input) (?:query|question|input|text|message|request)|conversation|names of the|raw text",
        in_system=False,
    ),
    _template("documents", "shown", "number|summary|relevan|score"),
    _template(
        "classification classifier classify detection",
        "categor|intent|classification engine",
        "texts?\\b|user|input|quer",
        answer=1,
    ),
    _template(
        "generate describe",
        "(?:detailed )?prompt for an? image|image generation task|image prompt",
        "context|language|task",
    ),
    _template(
        "summarize summarise summary compaction compress condense",
        "conversation|chat history|context|session",
        "so far|another|different model|resume|hand|lose|replace",
    ),
    _template("generate generates write generator", "(?:\\S+ ){0,4}commit messages?\\b", "diff|staged", answer=2),
    _template("autocomplete autocompletion complete completion", "text|query|message|search", "user|continu", answer=2),
    _template("extract copy", "any part|whatever part|parts? of the context", "context|document", answer=0),
    _template(
        "save update store manager extract maintain",
        "memor(?:y|ies)\\b|facts about the user",
        "user|conversation",
        answer=1,
    ),
)

_OPENINGS = (
    "given a raw text input to a language model",
    "some choices are given below",
    "please act as an impartial judge",
    "instruction please act as an impartial judge",
    "your task is to judge",
    "you are a title generator",
    "you are a helpful assistant that generates multiple search queries",
    "based on the chat history, give this conversation a name",
    "you are in a role play game",
    "use the set memory tool",
    "you are performing a context checkpoint",
    "analyze if this message indicates a new",
    "available tools ",
    "pause your roleplay",
    "you are a grader",
    "you will be given a user question and",
    "your task is to create a detailed summary of the conversation",
)
"""What no person writes at the beginning of a message or a system prompt."""

_BY_VERB = {
    verb: [template for template in _TEMPLATES if verb in template.does]
    for verb in frozenset[str]().union(*[template.does for template in _TEMPLATES])
}
_FIRST_WORDS = frozenset(opening.split()[0] for opening in _OPENINGS)

# Of a verb, what it does stands within so many characters.
_WINDOW = 220
_VERBS_WITHIN = 160
_LOOKED_UP = 120
_WORD = re.compile(r"[a-z]+")
_LABELS = ("output", "answer", "response", "result", "title", "json", "assistant")

# Here a template may put in what somebody else wrote.
_MATERIAL = re.compile(
    r"[ \t]*+(?:<(?!/|task|instruct|rules|goal|role)|\[(?!instruct|task|inst)|```|\"\"\"|---|===|"
    r"(?P<label>[a-z][\w ]{0,40}+:\s*+(?:\n|\Z)))"
)
_RETRIES = (
    "[error] ",
    "validation error",
    "you did not use a tool",
    "your last reply",
    "the last reply held",
    "could not parse",
)


def is_helper(text: str, system: str) -> bool:
    """Return whether a message, with the request's system prompt, is a helper task."""
    if len(text) < 40 and text.strip().lower().rstrip(":") in _LABELS and system:
        return True  # nothing but the place of the answer: the system prompt holds all
    return _matches(text, system=False) or _matches(system, system=True)


def _matches(text: str, *, system: bool) -> bool:
    if len(text) < 80:
        return False
    begin = text[:_OPENING].lower()
    known = begin.translate(_LETTERS).split() if begin.isascii() else _WORD.findall(begin)
    if known[:1] and known[0] in _FIRST_WORDS and _plain(text[:_LOOKED_UP].lower()).startswith(_OPENINGS):
        return True
    if _BY_VERB.keys().isdisjoint(known):
        return False
    begin = _before_material(begin)
    if not system:
        blank = begin.find("\n\n", _FIRST)
        begin = begin if blank < 0 else begin[:blank]
    opening = _plain(begin)
    for verb in _WORD.finditer(opening, 0, _VERBS_WITHIN):
        for template in _BY_VERB.get(verb.group(), ()):
            begins, ends = verb.start(), verb.start() + _WINDOW
            if (
                (template.in_system or not system)
                and template.object.search(opening, begins, ends)
                and template.about.search(opening, begins, ends)
                and _answers(text) >= template.answer
            ):
                return True
    return False


def _plain(text: str) -> str:
    """Return a text without markup, with one space between words."""
    return " ".join(text.translate(_MARKUP).split())


def _before_material(begin: str) -> str:
    """Return the lines before those with which material begins."""
    at = 0
    while True:
        found = _MATERIAL.match(begin, at)
        if found is not None and (at or found["label"] is None):
            return begin[:at]
        at = begin.find("\n", at) + 1
        if not at:
            return begin


def _answers(text: str) -> int:
    looked_at = text[:_LOOKED_AT].lower()
    return sum([word in looked_at for word in _STRICT])


def is_retry(text: str) -> bool:
    """Return whether a harness complains about the model's last answer: nobody wrote this."""
    begin = text[:60].lower()
    return any(map(begin.__contains__, _RETRIES))
