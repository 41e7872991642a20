"""Implement `pointsman compare`: compare two sides of an experiment, by the service's log and its file of feedback."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from pointsman import files
from pointsman.cli.since import since
from pointsman.config.load import default_path, load
from pointsman.evaluation.comparison import prices_of, read, render
from pointsman.observability import rotated_file


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
