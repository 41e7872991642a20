"""Replay a decision log with another classifier or threshold, and report the changes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from pointsman.classify.artifact import Artifact
from pointsman.classify.classification import text_key
from pointsman.columns import columns
from pointsman.config.model import Config
from pointsman.errors import EvaluationError
from pointsman.evaluation.dataset import read_lines, text_of
from pointsman.evaluation.decisions import PrecomputedClassifier
from pointsman.evaluation.evaluate import Proportion, share
from pointsman.evaluation.metrics import Bools, Floats
from pointsman.evaluation.provenance import FileId, Provenance
from pointsman.evaluation.replayed import LoggedRequest, decide
from pointsman.evaluation.scheme import DEFAULT_THRESHOLD, NONE, CategoryScheme, LabelScheme
from pointsman.evaluation.table import artifact_line, interval, percent
from pointsman.observability import log_reader
from pointsman.routing.explain import plain
from pointsman.store.rotated_file import parts

UNSURE = "(unsure)"
"""The decision below the threshold, or for a text in another language, if no config names the model."""
STEPS = 20  # of the thresholds that are swept, from 0 to 1
MAX_SWITCHES = 15
SHOWN_TEXTS = 5
SHOWN_CHARACTERS = 100


class _LoggedCounterfactual(msgspec.Struct, frozen=True):
    model: str


class LoggedDecision(msgspec.Struct, frozen=True):
    """The fields of a log line that a replay reads.

    There is no hash if a rule decided, or a follow-up says nothing. `would` is the model that the rollout withheld.
    """

    event: str
    text_hash: str | None = None
    selected_model: str | None = None
    category: str | None = None
    reason: str | None = None
    rule: str | None = None
    conversation: str | None = None
    turn: int = 1
    path: str = ""
    client: str = ""
    key: str = ""
    would: _LoggedCounterfactual | None = None

    @property
    def replayable(self) -> bool:
        """Return whether the request was classified, continues a known conversation, or was decided by a rule."""
        follows = self.reason == "sticky" and self.conversation is not None
        return self.text_hash is not None or self.rule is not None or follows

    @property
    def model(self) -> str:
        """Return the model that routing chose."""
        return (self.selected_model or "") if self.would is None else self.would.model

    def asked(self, text: str | None) -> LoggedRequest:
        """Return the request, with its text, if any."""
        return LoggedRequest(
            text, self.category, self.rule, self.conversation, self.turn, self.path, self.client, self.key
        )


@dataclass(frozen=True, slots=True)
class DecisionSet:
    """The decisions for all requests, in their order; `models` is None if no config names any."""

    name: str
    chosen: list[str]
    models: list[str] | None


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """A threshold, the share of requests at or above it, and the share that changes against `before`."""

    threshold: float
    sure: float
    changed: float


@dataclass(frozen=True, slots=True)
class Replay:
    """The result of a replay, counted in requests: a text that occurs ten times counts ten times."""

    provenance: Provenance
    logged: int
    """Decisions in the log that have a hash."""
    texts: int
    """Distinct texts found for them."""
    before: str
    after: str
    changed: Proportion
    other_model: Proportion | None
    as_logged: Proportion | None
    """Requests for which `before` decides as the log; sticky conversations and other versions may differ."""
    matrix: dict[str, dict[str, int]]
    """Requests by decision before and after."""
    sweep: list[SweepPoint]


@dataclass(frozen=True, slots=True)
class ExampleTexts:
    """Texts whose decision changes in one way; the JSON report has none of them."""

    before: str
    after: str
    requests: int
    texts: tuple[str, ...]


class ReplayDecider:
    """One artifact's results on n texts, decided at any threshold: `TextPredictions.probabilities`, and languages."""

    def __init__(
        self,
        name: str,
        artifact: Artifact,
        config: Config | None,
        probabilities: Floats,
        supported: Bools,
        known: PrecomputedClassifier | None = None,
    ) -> None:
        """Take `known`, the artifact's result for each text, for the router."""
        self._known = known
        self._labels = artifact.manifest.labels
        self._calibration = artifact.calibration
        self._config = config
        self._probabilities = probabilities
        self._supported = supported
        suggested = artifact.manifest.suggested_threshold
        self.threshold = DEFAULT_THRESHOLD if suggested is None else suggested
        if config is not None:
            self.threshold = config.classifier.category_model.threshold
        self.name = name
        scores = self._scheme(self.threshold).scores(probabilities)
        self._best, self._confidence = scores.argmax(axis=-1), scores.max(axis=-1)

    def sure(self, threshold: float) -> Bools:
        """Return for each text whether the best class reaches its threshold, in a language that the artifact is for."""
        min_confidences = np.array(self._scheme(threshold).min_confidences)[self._best]
        reached: Bools = self._supported & (self._confidence >= min_confidences)
        return reached

    def _scheme(self, threshold: float) -> CategoryScheme | LabelScheme:
        if self._config is None:
            return LabelScheme(self._labels, threshold)
        head = None if self._known is None else self._known.head
        return CategoryScheme(_with_threshold(self._config, threshold), self._labels, self._calibration, head)

    def routed(self, threshold: float, asked: Sequence[LoggedRequest]) -> DecisionSet:
        """Return the decisions of the service for requests, with its rules and conversations.

        Without a config there are none, and each text is decided by itself.
        """
        if self._config is None or self._known is None:
            return self.side(threshold)
        decided = decide(asked, _with_threshold(self._config, threshold), self._known)
        return DecisionSet(
            f"{self.name} at {threshold:.2f}", [one.category or NONE for one in decided], [one.model for one in decided]
        )

    def side(self, threshold: float) -> DecisionSet:
        """Return the decisions about the texts at a threshold, each by itself."""
        scheme = self._scheme(threshold)
        chosen = scheme.chosen(self._probabilities, self._supported).tolist()
        name = f"{self.name} at {threshold:.2f}"
        if isinstance(scheme, CategoryScheme):
            models = scheme.models()
            return DecisionSet(name, [scheme.names[i] for i in chosen], [models[i] for i in chosen])
        sure = self.sure(threshold).tolist()
        return DecisionSet(name, [scheme.names[i] if s else UNSURE for i, s in zip(chosen, sure, strict=True)], None)


def read_log(paths: Sequence[Path]) -> list[LoggedDecision]:
    """Return the decisions of logs that can be replayed; `-` is standard input. Raises EvaluationError."""
    found: list[LoggedDecision] = []
    for path in paths:
        with log_reader.opened(path) as lines:
            found += [line for line in log_reader.decisions(lines, LoggedDecision) if line.replayable]
    if not any(line.text_hash for line in found):
        names = ", ".join(map(str, paths))
        raise EvaluationError(
            f"{names}: no routing_decision with a text_hash in it; pass the log of `pointsman serve` (its stderr), as "
            "it was written or from the journal"
        )
    return found


def names_of(paths: Sequence[Path]) -> str:
    """Return the names of logs, for a report."""
    return ", ".join("standard input" if str(path) == "-" else path.name for path in paths)


def identity(paths: Sequence[Path], lines: Sequence[LoggedDecision]) -> FileId:
    """Return the identity of the decisions in logs."""
    return FileId(names_of(paths), hashlib.sha256(msgspec.json.encode(lines)).hexdigest())


def read_texts(path: Path, hash_key: bytes = b"") -> dict[str, str]:
    """Return texts by hash from a file of `{"hash", "text"}` and its older parts. Raises EvaluationError.

    Rows without a hash are hashed with the service's key, and as by releases before 0.2, which had none.
    """
    written = [part for part in parts(path) if part.stat().st_size] or [path]
    rows = [
        row for part in written for row in read_lines(part, lambda _, line: (text_of(line, "text"), line.get("hash")))
    ]
    texts: dict[str, str] = {}
    for text, found in rows:
        for name in {text_key(text, key).hex() for key in (hash_key, b"")} if found is None else [str(found)]:
            texts[name] = text
    return texts


def as_logged(lines: Sequence[LoggedDecision]) -> DecisionSet:
    """Return the decisions of the service."""
    return DecisionSet("the log", [line.category or NONE for line in lines], [line.model for line in lines])


def compare(
    lines: Sequence[LoggedDecision],
    logged: int,
    before: DecisionSet,
    after: DecisionSet,
    sweep: list[SweepPoint],
    origin: Provenance,
) -> Replay:
    """Return the changes from `before` to `after`; `lines` are those of `logged` that can be decided."""
    log = as_logged(lines)
    matrix: dict[str, Counter[str]] = {}
    for one, other in zip(before.chosen, after.chosen, strict=True):
        matrix.setdefault(one, Counter())[other] += 1
    models = None if before.models is None or after.models is None else _differing(before.models, after.models)
    same = (
        None if before.models is None or before.name == log.name else len(lines) - _differing(before.chosen, log.chosen)
    )
    return Replay(
        provenance=origin,
        logged=logged,
        texts=len({line.text_hash for line in lines if line.text_hash}),
        before=before.name,
        after=after.name,
        changed=share(_differing(before.chosen, after.chosen), len(lines)),
        other_model=None if models is None else share(models, len(lines)),
        as_logged=None if same is None else share(same, len(lines)),
        matrix={one: dict(others.most_common()) for one, others in sorted(matrix.items())},
        sweep=sweep,
    )


def swept(before: DecisionSet, judge: ReplayDecider) -> list[SweepPoint]:
    """Return the number of texts that are sure, and decided otherwise than `before`, at any threshold."""
    return [_step(step / STEPS, before, judge) for step in range(STEPS + 1)]


def samples(before: DecisionSet, after: DecisionSet, texts: Sequence[str | None]) -> list[ExampleTexts]:
    """Return the changes of category, the most frequent first, with a few of their texts."""
    found: dict[tuple[str, str], list[str | None]] = {}
    for one, other, text in zip(before.chosen, after.chosen, texts, strict=True):
        if one != other:
            found.setdefault((one, other), []).append(text)
    made = [
        ExampleTexts(one, other, len(all_of), tuple(dict.fromkeys(filter(None, all_of)))[:SHOWN_TEXTS])
        for (one, other), all_of in found.items()
    ]
    return sorted(made, key=lambda sample: -sample.requests)


def render(replay: Replay, samples: Sequence[ExampleTexts]) -> str:
    """Return the replay as text for a terminal, with texts of users."""
    found = replay.changed.whole
    origin = replay.provenance
    lines = [
        f"{origin.data.name}: {replay.logged:,} decisions, {found:,} decided again ({replay.texts:,} texts)",
        *(f"{one.name}: {artifact_line(one)}" for one in (origin.artifact, origin.against) if one is not None),
        "",
        f"from {replay.before} to {replay.after}",
        f"  changed      {interval(replay.changed)}",
    ]
    if replay.other_model is not None:
        lines.append(f"  other model  {interval(replay.other_model)}")
    if replay.as_logged is not None:
        lines.append(f"  {replay.before} decides as the log: {interval(replay.as_logged)}")
    if samples:
        lines += ["", *_changes(samples[:MAX_SWITCHES], found)]
    steps = [(f"{step.threshold:.2f}", percent(step.sure), percent(step.changed)) for step in replay.sweep]
    lines += ["", *columns([("threshold", "sure", "changed"), *steps], left=0)]
    return "\n".join(lines)


def _changes(samples: Sequence[ExampleTexts], requests: int) -> Iterator[str]:
    """Yield a table of the changes, each with its texts below it."""
    rows = [(one.before, one.after, f"{one.requests:,}", percent(one.requests / requests)) for one in samples]
    head, *lines = columns([("from", "to", "requests", "of all"), *rows], left=2)
    yield head
    for line, sample in zip(lines, samples, strict=True):
        yield line
        for text in sample.texts:
            yield f"    {plain(' '.join(text.split())[:SHOWN_CHARACTERS])}"


def _with_threshold(config: Config, threshold: float) -> Config:
    model = replace(config.classifier.category_model, threshold=threshold)
    return replace(config, classifier=replace(config.classifier, category_model=model))


def _step(threshold: float, before: DecisionSet, judge: ReplayDecider) -> SweepPoint:
    changed = _differing(before.chosen, judge.side(threshold).chosen)
    return SweepPoint(threshold, float(judge.sure(threshold).mean()), changed / len(before.chosen))


def _differing(one: Sequence[str], other: Sequence[str]) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))
