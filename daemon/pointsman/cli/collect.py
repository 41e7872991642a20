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
from pointsman.evaluation import log_lines, worklist
from pointsman.evaluation.improve_files import labels_file, worklist_file
from pointsman.evaluation.labelled import read_labels
from pointsman.evaluation.worklist import WorklistItem
from pointsman.observability import rotated_file, text_records

SHOWN = 20
WIDTH = 100


def run(options: argparse.Namespace) -> int:
    """Write the worklist and print its beginning; return 1 if a file cannot be used.

    Raises EvaluationError and ConfigError.
    """
    config = load(options.config or default_path()).config
    path = options.output or worklist_file()
    try:
        items = _items(options, config.pointsman.log)
        content = b"".join(msgspec.json.encode(item) + b"\n" for item in items)
        files.make_folder(path.parent)
        files.write(path, content, replace=True, mode=0o600)
        files.hand_over(path)
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
        differing = worklist.contested_rows(text_records.rows(texts))
        if options.log is not None:
            with log_lines.opened(options.log) as lines:
                differing |= worklist.contested(log_lines.decisions(lines, worklist.DecisionLine))
        said = log_lines.decisions(_feedback(log.feedback_file), worklist.FeedbackLine, event="feedback")
        labelled = {one.hash for one in read_labels(options.labels or labels_file())}
        return worklist.worklist(text_records.rows(texts), worklist.bad(said), differing, labelled, options.limit)
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
