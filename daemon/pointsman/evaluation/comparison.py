"""Compare two sides of an experiment by the service's log and feedback, by conversation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import msgspec

from pointsman.config.model import Config
from pointsman.errors import EvaluationError
from pointsman.evaluation.log_lines import MAX_LOG_LINE_BYTES
from pointsman.evaluation.metrics import accuracy_interval
from pointsman.evaluation.table import columns
from pointsman.experiments.failure import has_failed
from pointsman.experiments.sequential import ALPHA, Sample, Share, counted, difference, shares_differ

# For each side; more would take more than 200 MB.
MAX_CONVERSATIONS = 500_000
# Failures, the first byte, scores and one label are judged: each gets an equal part of the error probability.
EACH = ALPHA / 4
# Differences of the first byte that matter: a fifth.
SCALE = 0.2
MAX_LABELS = 5
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
class ConversationOutcome:
    """The facts about a conversation on one side."""

    failed: bool = False
    first_byte: float | None = None
    """In milliseconds, of its first request that was answered."""
    tokens: int = 0
    cost: float = 0.0


@dataclass(slots=True)
class Rating:
    """One author's feedback on a conversation's answers on one side."""

    author: str = ""
    scores: int = 0
    total: float = 0.0
    labels: set[str] = field(default_factory=set)


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
        try:
            line = msgspec.json.decode(text[text.find(b"{") :], type=_LoggedOutcome)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        if line.ts < since or line.draw is None:
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


def prices_of(config: Config) -> dict[str, tuple[float, float]]:
    """Return the price of a prompt token and of a completion token, by model and adapter."""
    found: dict[str, tuple[float, float]] = {}
    for base, model in config.model_config.items():
        if model.pricing is not None:
            price = model.pricing.prompt_per_1m / 1e6, model.pricing.completion_per_1m / 1e6
            found |= dict.fromkeys((base, *(lora.name for lora in model.loras)), price)
    return found


class ArmStatistics(Protocol):
    """A side to judge; its methods are those of `ArmResults`."""

    @property
    def name(self) -> str: ...
    def failures(self) -> tuple[int, int]: ...
    def first_bytes(self) -> Sample: ...
    def scored(self) -> Collection[Share]: ...


C = TypeVar("C", bound=ArmStatistics)


def verdicts(first: ArmStatistics, second: ArmStatistics, authors: int) -> list[str]:
    """Return what is certain, whenever and however often it is computed; empty if nothing is.

    Feedback is certain only if this many `authors` have given some on each side.
    """
    found = []
    if (order := _order(first, second, lambda side: side.failures())) is not None:
        found.append(f"{order[1]} fails less often than {order[0]}")
    times = difference(first.first_bytes(), second.first_bytes(), SCALE, EACH)
    if times is not None and times.certain:
        faster, slower = (second, first) if times.value > 0 else (first, second)
        found.append(f"{faster.name} begins to answer sooner than {slower.name}")
    if (order := _order(first, second, lambda side: counted(side.scored(), authors))) is not None:
        found.append(f"{order[0]} is scored higher than {order[1]}")
    return found


def label_verdicts(first: ArmResults, second: ArmResults, authors: int, label: str) -> list[str]:
    """Return the verdicts on a label.

    The label must be chosen in advance: choosing it by the results would make false verdicts more frequent.
    """
    order = _order(first, second, lambda side: counted(side.labelled_by(label), authors))
    return [] if order is None else [f"{order[0]} is labeled {label} more often than {order[1]}"]


def _order(first: C, second: C, share: Callable[[C], Share]) -> tuple[str, str] | None:
    """Return the sides' names, the one with the greater share first; None if the shares do not certainly differ."""
    (part, rows), (other, others) = share(first), share(second)
    if not shares_differ((part, rows), (other, others), alpha=EACH):
        return None
    return (first.name, second.name) if part / rows > other / others else (second.name, first.name)


def render(
    first: ArmResults, second: ArmResults, authors: int, currency: str | None, label: str | None = None
) -> Iterator[str]:
    """Yield the comparison as lines for a terminal; `authors` as in `verdicts`, and `label` is one to judge."""
    yield from columns([("", first.name, second.name), *_figures((first, second), currency, label)])
    yield ""
    times = difference(first.first_bytes(), second.first_bytes(), SCALE, EACH)
    if times is not None:
        low, middle, high = (math.exp(value) for value in (times.low, times.value, times.high))
        ratio = f"{middle:.2f} ({low:.2f} to {high:.2f} at all times together)"
        yield f"first byte, {first.name} over {second.name}: {ratio}"
    found = verdicts(first, second, authors)
    found += [] if label is None else label_verdicts(first, second, authors, label)
    yield from (f"verdict: {verdict}" for verdict in found)
    if not found:
        yield "verdict: not enough yet; no difference is certain"


def _figures(
    sides: tuple[ArmResults, ArmResults], currency: str | None, label: str | None
) -> Iterator[tuple[str, ...]]:
    yield "requests", *(f"{side.requests:,}" for side in sides)
    yield "conversations", *(f"{len(side.conversations):,}" for side in sides)
    yield "failed", *(_share(*side.failures()) for side in sides)
    yield "first byte, geometric mean", *(_time(side.first_bytes()) for side in sides)
    yield "completion tokens", *(_mean(side.mean(lambda one: one.tokens), "{:,.0f}") for side in sides)
    if currency is not None:
        costs = (_mean(side.mean(lambda one: 1_000 * one.cost), "{:,.2f}") for side in sides)
        yield f"{currency} for 1,000", *costs
    yield from _feedback(sides, label)


def _feedback(sides: tuple[ArmResults, ArmResults], label: str | None) -> Iterator[tuple[str, ...]]:
    """Yield the authors, the mean score, and the shares of the judged label and of the most frequent, if any."""
    if any(side.ratings for side in sides):
        yield "authors of feedback", *(f"{side.authors():,}" for side in sides)
    if any(side.scores().rows for side in sides):
        yield "score", *(_mean(side.scores(), "{:.2f}") for side in sides)
    frequent = (sides[0].labels() + sides[1].labels()).most_common(MAX_LABELS)
    for name in dict.fromkeys([*([] if label is None else [label]), *(name for name, _ in frequent)]):
        yield f"labeled {name}", *(_share(*side.labelled(name)) for side in sides)


def _share(part: int, whole: int) -> str:
    if not whole:
        return "-"
    low, high = accuracy_interval(part, whole)
    return f"{100 * part / whole:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _time(sample: Sample) -> str:
    if sample.rows < 2:
        return "-"
    low, high = sample.interval()
    return f"{math.exp(sample.mean):,.0f} ms ({math.exp(low):,.0f} to {math.exp(high):,.0f})"


def _mean(sample: Sample, form: str) -> str:
    if sample.rows < 2:
        return "-"
    low, high = sample.interval()
    return f"{form.format(sample.mean)} ({form.format(max(0.0, low))} to {form.format(high)})"
