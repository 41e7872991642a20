"""Generate the prompts that were written for this project, as users type them; Apache-2.0 like the rest of it.

Public question sets are thin here: they hold exam questions, not the landlord, the rash and the traceback.
`README.md` describes the files in `texts/` and their format.
"""

from __future__ import annotations

import random
import re

from training.sections import TEXTS, sections
from training.wrap import TASKS, lines

WRITTEN = "written"
"""The source of prompts that no other source has, with their writers' labels."""

OURS = frozenset({"pointsman", "pointsman-plain", "pointsman-experts", WRITTEN, TASKS})
"""Sources that were written for this project: filled templates, plain prompts, experts' questions, and tasks."""

_PLAIN = ("plain.txt", "everyday.txt", "out_of_scope.txt", "foreign.txt", "requests.txt")
_FILLINGS = {"templates.txt": 12, "subjects.txt": 24}
"""The most prompts that one template of each file gives."""


def user_prompts() -> list[tuple[str, str, str]]:
    """Return every prompt with its label and its source: the same ones in the same order at each call."""
    rng = random.Random(0)  # noqa: S311 (a choice of words, not a secret)
    slots = sections("slots.txt")
    prompts = [
        (text, label, "pointsman-plain") for name in _PLAIN for label, texts in sections(name).items() for text in texts
    ]
    for name, max_prompts in _FILLINGS.items():
        for label, templates in sections(name).items():
            for template in templates:
                fillings = {_fill(template, slots, rng) for _ in range(max_prompts)}
                prompts += [(text, label, "pointsman") for text in sorted(fillings)]
    prompts += [(text, label, WRITTEN) for label, texts in lines("asked.txt").items() for text in texts]
    prompts += [(template, "other", TASKS) for templates in lines("tasks.txt").values() for template in templates]
    return prompts + _experts()


def _experts() -> list[tuple[str, str, str]]:
    """Return the questions of people who work in a field, in its own words."""
    return [
        (text, path.stem.replace("_", " "), "pointsman-experts")
        for path in sorted((TEXTS / "experts").glob("*.txt"))
        for text in filter(None, map(str.strip, path.read_text(encoding="utf-8").splitlines()))
    ]


def _fill(template: str, slots: dict[str, list[str]], rng: random.Random) -> str:
    def choice(slot: re.Match[str]) -> str:
        choices: list[str] = slot[1].split("|") if "|" in slot[1] else slots[slot[1]]
        return rng.choice(choices)

    return re.sub(r"\{([^{}]+)\}", choice, template)
