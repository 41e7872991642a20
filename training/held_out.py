"""Name what trainings leave out in turn, to show what becomes of texts of an origin that was never trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.adapters import Fleet

SOURCES: tuple[tuple[str, ...], ...] = (
    ("expertqa", "robotics-stackexchange", "banking77"),
    ("dolly-openqa", "healthsearchqa", "eda-corpus-prompts", "eda-corpus-qa", "clinc-smalltalk"),
    ("karma-electric-rl-prompts", "stack-eval"),
    ("conditionalqa", "trec-ikat", "cooking-stackexchange", "cooking-stackexchange-posts", "so-titles"),
    (
        "fiqa",
        "trec-cast",
        "counsel-chat",
        "skeptics-stackexchange",
        "travel-stackexchange",
        "awesome-chatgpt-prompts",
        "medquad",
    ),
)
"""By group, what people wrote; two sources that are like each other are in the same one."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What is not trained on: the sources of a group, and of `groups` equal parts of the fleets the one at `part`."""

    sources: tuple[str, ...] = ()
    part: int = 0
    groups: int = 0

    def split(self, fleets: Sequence[Fleet]) -> tuple[list[Fleet], list[Fleet]]:
        """Return the fleets that are trained on, and those that are not."""
        held = list(fleets[self.part :: self.groups]) if self.groups else []
        return [fleet for fleet in fleets if fleet not in held], held


NOTHING = HeldOut()


def group(number: int) -> HeldOut:
    """Return what the training without a group leaves out; groups are counted from 1, and 0 is none."""
    return HeldOut(SOURCES[number - 1], number - 1, len(SOURCES)) if number else NOTHING
