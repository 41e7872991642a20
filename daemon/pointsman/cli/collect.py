"""Implement `pointsman collect`: list the stored texts that a person should label."""

from __future__ import annotations

import argparse
import contextlib
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pointsman import files
from pointsman.config.load import default_path, load
from pointsman.config.model import LogOptions
from pointsman.errors import EvaluationError
from pointsman.improve import worklist
from pointsman.improve.folder import LABELS, TAUGHT, WORKLIST
from pointsman.improve.labels_file import read_labels
from pointsman.improve.taught_file import suggestions
from pointsman.improve.texts_file import TextRecord
from pointsman.improve.worklist_file import WorklistItem, worklist_file
from pointsman.observability import log_reader
from pointsman.observability.feedback_file import FeedbackLine
from pointsman.store import rotated_file

SHOWN = 20
WIDTH = 100


def run(options: argparse.Namespace) -> int:
    """Write the worklist and print its beginning; return 1 if a file cannot be used.

    Raises EvaluationError and ConfigError.
    """
    config = load(options.config or default_path()).config
    path = options.output or files.service_state() / WORKLIST
    try:
        items = _items(options, config.pointsman.log)
        worklist_file(path).replace(items)
    except OSError as error:
        print(f"pointsman: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    print("\n".join(_lines(items, path)))
    return 0


def _items(options: argparse.Namespace, log: LogOptions) -> list[WorklistItem]:
    if log.texts_file is None:
        raise EvaluationError("the config has no pointsman.log.texts_file, so there are no texts to label")
    texts = Path(log.texts_file)
    try:
        differing = worklist.contested_rows(rotated_file.rows(texts, TextRecord))
        if options.log is not None:
            with log_reader.opened(options.log) as lines:
                differing |= worklist.contested(log_reader.decisions(lines, worklist.DecisionLine))
        said = log_reader.decisions(_feedback(log.feedback_file), FeedbackLine, event="feedback")
        labelled = {one.hash for one in read_labels(options.labels or files.service_state() / LABELS)}
        items = worklist.worklist(
            rotated_file.rows(texts, TextRecord), worklist.bad(said), differing, labelled, options.limit
        )
        suggested = suggestions(files.service_state() / TAUGHT)
        return [msgspec.structs.replace(item, suggested=suggested.get(item.text)) for item in items]
    except FileNotFoundError as error:
        raise EvaluationError(f"{error.filename}: there is no such file; has the service stored a text yet?") from error


def _feedback(file: str | None) -> Iterator[bytes]:
    with contextlib.suppress(FileNotFoundError):
        yield from () if file is None else rotated_file.lines(Path(file))


def _lines(items: list[WorklistItem], path: Path) -> Iterator[str]:
    for item in items[:SHOWN]:
        why = ", ".join(item.why) or "least sure"
        alike = f", {item.alike} alike" if item.alike > 1 else ""
        yield f"{item.id}  {item.category or '(none)'}  {why}{alike}"
        yield f"    {printable(textwrap.shorten(item.text, WIDTH, placeholder=' …'))}"
    more = f"the first {SHOWN} of " if len(items) > SHOWN else ""
    yield f"{more}{len(items):,} texts in {path}; label them with `pointsman label`"


def printable(text: str) -> str:
    """Return a text without characters that could move a terminal's cursor or color its screen."""
    return "".join(char if char.isprintable() or char == "\n" else "�" for char in text)
