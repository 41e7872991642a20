"""Implement `pointsman compare`: compare two sides of an experiment, by the service's log and its file of feedback."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from pointsman import files
from pointsman.cli.since import since
from pointsman.columns import columns
from pointsman.config.load import default_path, load
from pointsman.experiments.arms import MAX_LABELS, prices_of
from pointsman.experiments.comparison import ArmResults, label_verdicts, read
from pointsman.experiments.sequential import Sample, difference
from pointsman.experiments.verdicts import EACH, SCALE, verdicts
from pointsman.intervals import share_interval
from pointsman.store import rotated_file


def run(options: argparse.Namespace) -> int:
    """Print the comparison; return 1 if the log cannot be read. Raises EvaluationError and ConfigError."""
    config = load(options.config or default_path()).config
    prices = prices_of(config)
    currency = next((model.pricing.currency for model in config.model_config.values() if model.pricing), None)
    names = options.first, options.second
    feedback = _feedback(config.pointsman.log.feedback_file)
    try:
        begin = since(options.since, time.time())
        if str(options.log) == "-":
            sides = read(chain(sys.stdin.buffer, feedback), names, prices, begin)
        else:
            with files.opened(options.log) as log:
                sides = read(chain(log, feedback), names, prices, begin)
    except OSError as error:
        print(f"pointsman: {options.log}: {error.strerror}", file=sys.stderr)
        return 1
    print("\n".join(render(*sides, config.pointsman.routing.verdict_authors, currency, options.label)))
    return 0


def _feedback(file: str | None) -> Iterator[bytes]:
    """Yield the lines of the files of feedback; stop at one that cannot be read, and report it."""
    try:
        yield from () if file is None else rotated_file.lines(Path(file))
    except FileNotFoundError:
        return
    except OSError as error:
        print(f"pointsman: without the feedback in {error.filename}: {error.strerror}", file=sys.stderr)


def render(
    first: ArmResults, second: ArmResults, authors: int, currency: str | None, label: str | None = None
) -> Iterator[str]:
    """Yield the comparison as lines for a terminal; `authors` as in `verdicts`, and `label` is one to judge."""
    yield from columns([("", first.name, second.name), *_figures((first, second), currency, label)], left=1)
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
    yield from _feedback_figures(sides, label)


def _feedback_figures(sides: tuple[ArmResults, ArmResults], label: str | None) -> Iterator[tuple[str, ...]]:
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
    low, high = share_interval(part, whole)
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
