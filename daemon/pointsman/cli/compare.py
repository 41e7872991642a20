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
from pointsman.experiments.comparison import read
from pointsman.experiments.prices import prices_of
from pointsman.experiments.tally import Tally, frequent_labels
from pointsman.experiments.verdicts import first_bytes_differ, label_verdicts, verdicts
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
            sides = read(chain(sys.stdin.buffer, feedback), names, prices, begin, options.label)
        else:
            with files.opened(options.log) as log:
                sides = read(chain(log, feedback), names, prices, begin, options.label)
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


def render(first: Tally, second: Tally, authors: int, currency: str | None, label: str | None = None) -> Iterator[str]:
    """Yield the comparison as lines for a terminal; `authors` as in `verdicts`, and `label` is the judged one."""
    yield from columns([("", first.name, second.name), *_figures(first, second, currency, label)], left=1)
    yield ""
    times = first_bytes_differ(first, second)
    if times is not None:
        low, middle, high = (math.exp(value) for value in (times.low, times.value, times.high))
        ratio = f"{middle:.2f} ({low:.2f} to {high:.2f} at all times together)"
        yield f"first byte, {first.name} over {second.name}: {ratio}"
    found = verdicts(first, second, authors)
    found += [] if label is None else label_verdicts(first, second, authors, label)
    yield from (f"verdict: {verdict}" for verdict in found)
    if not found:
        yield "verdict: not enough yet; no difference is certain"


def _figures(first: Tally, second: Tally, currency: str | None, label: str | None) -> Iterator[tuple[str, ...]]:
    labels = list(dict.fromkeys([*([] if label is None else [label]), *frequent_labels(first, second)]))
    sides = first.figures(labels), second.figures(labels)
    yield "requests", *(f"{side['requests']:,}" for side in sides)
    yield "conversations", *(f"{side['conversations']:,}" for side in sides)
    yield "failed", *(_share(side["failed"]) for side in sides)
    yield "first byte, geometric mean", *(_interval(side["first_byte_ms"], "{:,.0f}", unit=" ms") for side in sides)
    yield "completion tokens", *(_interval(side["tokens"], "{:,.0f}") for side in sides)
    if currency is not None:
        yield f"{currency} for 1,000", *(_interval(side["cost"], "{:,.2f}", 1_000) for side in sides)
    if any(side["authors"] for side in sides):
        yield "authors of feedback", *(f"{side['authors']:,}" for side in sides)
    if first.scored() or second.scored():
        yield "score", *(_interval(side["score"], "{:.2f}") for side in sides)
    for name in labels:
        yield f"labeled {name}", *(_share(side["labels"][name]) for side in sides)


def _share(found: dict[str, float] | None) -> str:
    return _interval(found, "{:.1f}", 100, " %")


def _interval(found: dict[str, float] | None, form: str, factor: int = 1, unit: str = "") -> str:
    """Return a figure of `Tally.figures` with its interval."""
    if found is None:
        return "-"
    value, low, high = (form.format(factor * found[name]) for name in ("value", "low", "high"))
    return f"{value}{unit} ({low} to {high})"
