"""Words by which wrappers are recognized: names of tags and labels, and the vocabulary of instructions.

The file words.txt says what each list is.
"""

from __future__ import annotations

from pathlib import Path

from pointsman.routing.word_lists import WordLists

_LISTS = WordLists(Path(__file__).with_name("words.txt"))
_words = _LISTS.words

ASKS = {rank: _words(f"asks {rank}") for rank in (3, 2, 1, 0)}
USERS, ANSWERS, OTHERS = map(_words, ("users", "answers", "others"))
ASKS_INSIDE, OTHERS_INSIDE = _words("asks inside"), _words("others inside")
EXACT, WISHES, LINK_WORDS, HTML = map(_words, ("exact", "wishes", "link words", "html"))

FRAMES, TEMPLATES, COURTESIES = map(_words, ("frames", "templates", "courtesies"))
INTERROGATIVES, IMPERATIVES, NOUNS = map(_words, ("interrogatives", "imperatives", "nouns"))
TRANSFORMS, RENDERS, DIGESTS, TASKS = map(_words, ("transforms", "renders", "digests", "tasks"))
VERBS = INTERROGATIVES | IMPERATIVES | TRANSFORMS

FUNCTION, ENGLISH, NOT_ENGLISH = map(_words, ("function", "english", "not english"))
PERSONAL, OWN, POINTERS, PRONOUNS = map(_words, ("personal", "own", "pointers", "pronouns"))
