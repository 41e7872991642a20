"""Words of the tasks that front ends and frameworks give a model by themselves.

The file tasks.txt says what each list is.
"""

from __future__ import annotations

from pathlib import Path

from pointsman.routing.ask import words
from pointsman.routing.word_lists import WordLists

_LISTS = WordLists(Path(__file__).with_name("tasks.txt"))
_words, _phrases = _LISTS.words, _LISTS.phrases
_TASKS = [(_words(verbs), _phrases(verbs.replace("verbs", "things"))) for verbs in _LISTS.titles("verbs")]

OPENINGS = _LISTS.lines("openings")
THINGS = {
    verb: frozenset([thing for verbs, things in _TASKS if verb in verbs for thing in things])
    for verb in frozenset[str]().union(*[verbs for verbs, _ in _TASKS])
}
"""The objects of each verb."""

DECIDES, ASKED_ABOUT, OPERATIONS, BEFORE = map(_words, ("decides", "asked about", "operations", "before"))
GIVENS, SAID, RESOURCES, CHECKS = map(_words, ("givens", "said", "resources", "checks"))
SPEAKERS, SAYINGS, ANSWERED, ASKED, ABOUT = map(_words, ("speakers", "sayings", "answered", "asked", "about"))
OPERATES = OPERATIONS | ASKED_ABOUT | {"do"}
"""Each order of an operation has one of these."""
VERBS = DECIDES | OPERATES | frozenset(THINGS)
"""Each instruction has one of these."""

STRICT = _phrases("strict")
FOREIGN_LIMITS = _phrases("foreign limits")
FOREIGN_ORDERS = (
    (_phrases("foreign orders"), _phrases("foreign subjects")),
    (_phrases("foreign judging"), _phrases("foreign judged")),
)
NEUTRAL = frozenset().union(
    ABOUT,
    ANSWERED,
    words.FRAMES,
    THINGS,
    *[thing.split() for _, things in _TASKS for thing in things],
    _words("neutral"),
)
"""Words of their instructions that name no subject."""
