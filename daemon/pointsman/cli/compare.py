"""Implement `pointsman compare`: two sides of an experiment, by the service's log and its file of feedback."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from pointsman import files
from pointsman.config.load import default_path, load
from pointsman.errors import EvaluationError
from pointsman.evaluation.comparison import prices_of, read, render
from pointsman.observability.kept_feedback import former

_UNITS = {"m": 60, "h": 3_600, "d": 86_400}
_AGO = re.compile(r"(\d{1,6})([mhd])")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?)?")


def run(options: argparse.Namespace) -> int:
    """Print the comparison; return 0, or 1 if the log cannot be read; raises ConfigError."""
    config = load(options.config or default_path()).config
    prices = prices_of(config)
    currency = next((model.pricing.currency for model in config.model_config.values() if model.pricing), None)
    names = options.first, options.second
    feedback = _feedback(config.pointsman.log.feedback_file)
    try:
        since = _since(options.since, time.time())
        if str(options.log) == "-":
            sides = read(chain(sys.stdin.buffer, feedback), names, prices, since)
        else:
            with files.opened(options.log) as log:
                sides = read(chain(log, feedback), names, prices, since)
    except OSError as error:
        print(f"pointsman: {options.log}: {error.strerror}", file=sys.stderr)
        return 1
    except EvaluationError as error:
        print(f"pointsman: {error}", file=sys.stderr)
        return 1
    print("\n".join(render(*sides, currency, options.label)))
    return 0


def _feedback(file: str | None) -> Iterator[bytes]:
    """Yield the lines of the file of feedback and of the one before; one that cannot be read is left out, and told."""
    for path in () if file is None else (former(Path(file)), Path(file)):
        try:
            with files.opened(path) as lines:
                yield from lines
        except FileNotFoundError:
            continue
        except OSError as error:
            print(f"pointsman: without the feedback in {path}: {error.strerror}", file=sys.stderr)


def _since(text: str | None, now: float) -> str:
    """Return a time in the log's form, of `2h`, `3d` or a date; raises EvaluationError."""
    if text is None:
        return ""
    if (ago := _AGO.fullmatch(text)) is not None:
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now - int(ago[1]) * _UNITS[ago[2]]))
    if _TIME.fullmatch(text) is not None:
        return text.replace(" ", "T")
    raise EvaluationError(f'--since: expected `90m`, `2h`, `3d` or `2026-11-26T12:00` (UTC), found "{text}"')
