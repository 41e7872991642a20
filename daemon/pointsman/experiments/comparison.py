"""Compare two sides of an experiment by the service's log and feedback, by conversation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from pointsman.errors import EvaluationError
from pointsman.experiments.arms import ConversationOutcome, Rating
from pointsman.experiments.failure import has_failed
from pointsman.experiments.sequential import Sample, Share, counted
from pointsman.experiments.verdicts import order
from pointsman.observability.log_reader import MAX_LOG_LINE_BYTES
from pointsman.store.rows_file import decoded

# For each side; more would take more than 200 MB.
MAX_CONVERSATIONS = 500_000
ROUTED = frozenset({"routed", "canary", "stable"})


T = TypeVar("T")


class _LoggedOutcome(msgspec.Struct, frozen=True):
    """The fields of a log line that are read."""

    event: str = ""
    ts: str = ""
    status: int = 0
    why: str = msgspec.field(name="reason", default="")
    selected_model: str = ""
    category: str = ""
    arm: str = ""
    draw: str | None = None
    endpoint: str = ""
    error: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    ms: dict[str, float] = {}
    author: str = ""
    score: float | None = None
    label: str | None = None


@dataclass(slots=True)
class ArmResults:
    """The conversations of one side."""

    name: str
    requests: int = 0
    conversations: dict[str, ConversationOutcome] = field(default_factory=dict)
    ratings: dict[str, Rating] = field(default_factory=dict)

    def failures(self) -> tuple[int, int]:
        """Return the number of failed conversations, and of all."""
        return sum(one.failed for one in self.conversations.values()), len(self.conversations)

    def first_bytes(self) -> Sample:
        """Return the logarithms of the times to the first byte."""
        found = (one.first_byte for one in self.conversations.values())
        return Sample.of(math.log(time) for time in found if time)

    def scores(self) -> Sample:
        """Return the mean score of each conversation that has one."""
        return Sample.of(one.total / one.scores for one in self.ratings.values() if one.scores)

    def scored(self) -> Collection[Share]:
        """Return the sum of these scores, and their number, by author."""
        return _by_author((one, one.total / one.scores) for one in self.ratings.values() if one.scores)

    def authors(self) -> int:
        """Return the number of authors of feedback."""
        return len({one.author for one in self.ratings.values()})

    def labels(self) -> Counter[str]:
        """Return the number of conversations with each label."""
        return Counter(label for one in self.ratings.values() for label in one.labels)

    def labelled(self, label: str) -> tuple[int, int]:
        """Return the number of conversations with a label, and with any."""
        labelled = [one.labels for one in self.ratings.values() if one.labels]
        return sum(label in labels for labels in labelled), len(labelled)

    def labelled_by(self, label: str) -> Collection[Share]:
        """Return the same by author."""
        return _by_author((one, label in one.labels) for one in self.ratings.values() if one.labels)

    def mean(self, of: Callable[[ConversationOutcome], float]) -> Sample:
        return Sample.of(map(of, self.conversations.values()))


def _by_author(values: Iterable[tuple[Rating, float]]) -> Collection[Share]:
    found: dict[str, Share] = {}
    for one, value in values:
        total, rows = found.get(one.author, (0.0, 0))
        found[one.author] = total + value, rows + 1
    return found.values()


def read(
    lines: Iterable[bytes], names: tuple[str, str], prices: Mapping[str, tuple[float, float]], since: str = ""
) -> tuple[ArmResults, ArmResults]:
    """Return both sides from a log and the file of feedback; a side is a model, or an arm of an experiment.

    `prices` are those of a prompt token and a completion token by model. Lines before `since`, a time in the log's
    form, are left out. Raises EvaluationError if there are too many conversations.
    """
    sides = ArmResults(names[0]), ArmResults(names[1])
    for text in lines:
        if b'"draw"' not in text or len(text) > MAX_LOG_LINE_BYTES:
            continue  # not part of an experiment
        line = decoded(text[text.find(b"{") :], _LoggedOutcome)
        if line is None or line.ts < since or line.draw is None:
            continue
        for side in sides:
            if not _is_of(line, side.name):
                continue
            if line.event == "feedback":
                _rate(side, line)
            elif line.event == "routing_decision" and line.endpoint and line.status != 499:
                _add(side, line, prices)  # a client that left says nothing about the model
    return sides


def _is_of(line: _LoggedOutcome, name: str) -> bool:
    return name in (line.selected_model, line.arm) or (name == "routed" and line.arm in ROUTED)


def _rate(side: ArmResults, line: _LoggedOutcome) -> None:
    rating = _of_conversation(side, side.ratings, line, lambda: Rating(line.author), line.author)
    if line.score is not None:
        rating.scores += 1
        rating.total += line.score
    if line.label is not None:
        rating.labels.add(line.label)


def _of_conversation(
    side: ArmResults, known: dict[str, T], line: _LoggedOutcome, make: Callable[[], T], author: str = ""
) -> T:
    """Return the facts about the line's conversation, or an author's feedback on it.

    Raises EvaluationError if there are too many.
    """
    key = f"{line.category} {line.draw}" + (author and f" {author}")
    if key not in known:
        if len(known) >= MAX_CONVERSATIONS:
            raise EvaluationError(f"{side.name} has more than {MAX_CONVERSATIONS:,} conversations; use --since")
        known[key] = make()
    return known[key]


def _add(side: ArmResults, line: _LoggedOutcome, prices: Mapping[str, tuple[float, float]]) -> None:
    found = _of_conversation(side, side.conversations, line, ConversationOutcome)
    failed = has_failed(line.status, line.error, line.why)
    side.requests += 1
    found.failed |= failed
    if found.first_byte is None and not failed:
        found.first_byte = line.ms.get("first_byte")
    price = prices.get(line.selected_model, (0.0, 0.0))
    tokens = line.prompt_tokens or 0, line.completion_tokens or 0
    found.tokens += tokens[1]
    found.cost += tokens[0] * price[0] + tokens[1] * price[1]


def label_verdicts(first: ArmResults, second: ArmResults, authors: int, label: str) -> list[str]:
    """Return the verdicts on a label.

    The label must be chosen in advance: choosing it by the results would make false verdicts more frequent.
    """
    sides = order(first, second, lambda side: counted(side.labelled_by(label), authors))
    return [] if sides is None else [f"{sides[0]} is labeled {label} more often than {sides[1]}"]
