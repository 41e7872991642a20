"""Implement `pointsman label`: assign categories to texts, by one key each, or by arguments."""

from __future__ import annotations

import argparse
import contextlib
import sys
import termios
import time
import tty
from collections.abc import Iterator
from pathlib import Path

from pointsman import files
from pointsman.cli.collect import printable
from pointsman.config.load import default_path, load
from pointsman.errors import EvaluationError
from pointsman.improve.folder import LABELS, WORKLIST
from pointsman.improve.labels_file import OUT_OF_SCOPE, LabelledText, add_label, label_of, read_labels, undo_label
from pointsman.improve.texts_file import NO_CATEGORY
from pointsman.improve.worklist_file import WorklistItem, read_worklist
from pointsman.observability.log_line import stamp

NONE, SKIP, UNDO, QUIT, AS_SUGGESTED = "n", "s", "u", "q", "\n"
_KEYS = "123456789abcdefghijklmoprtvwxyz"  # without keys that have another meaning
_ENDS = (QUIT, "\x03", "\x04", "")


def run(options: argparse.Namespace) -> int:
    """Label texts; return 1 if there is nothing to undo. Raises EvaluationError and ConfigError."""
    if (options.id is None) is not (options.label is None):
        options.parser.error("--id and --label belong together")
    labels = options.labels or files.service_state() / LABELS
    if options.undo:
        return _undone(labels)
    categories = [category.name for category in load(options.config or default_path()).config.categories]
    items = read_worklist(options.file or files.service_state() / WORKLIST)
    if options.id is None:
        _ask(items, categories, labels)
    else:
        _keep(labels, _chosen(items, options.id), label_of(options.label, categories))
    return 0


def _ask(items: list[WorklistItem], categories: list[str], labels: Path) -> None:
    """Show each text that has no label, and store the label of the pressed key; raises EvaluationError."""
    if not sys.stdin.isatty():
        raise EvaluationError("standard input is no terminal; label one text with --id ID --label LABEL")
    if len(categories) > len(_KEYS):
        raise EvaluationError(f"there are more categories than keys ({len(_KEYS)}); use --id and --label")
    keys = dict(zip(_KEYS, categories, strict=False)) | {NONE: OUT_OF_SCOPE}
    known = {one.hash for one in read_labels(labels)}
    waiting = [item for item in items if item.hash not in known]
    with _keys_without_enter():
        _ask_each(waiting, categories, keys, labels)
    print(f"{len(read_labels(labels)):,} labels in {labels}; `pointsman fit --labelled` uses them")


def _ask_each(waiting: list[WorklistItem], categories: list[str], keys: dict[str, str], labels: Path) -> None:
    position = 0
    while position < len(waiting):
        print("\n".join(_shown(waiting[position], position, len(waiting), categories)), flush=True)
        pressed = sys.stdin.read(1)
        if pressed in _ENDS:
            break
        suggested = waiting[position].suggested
        if pressed == AS_SUGGESTED and suggested in {*categories, NO_CATEGORY}:
            _keep(labels, waiting[position], OUT_OF_SCOPE if suggested == NO_CATEGORY else suggested)
            position += 1
        elif pressed in keys:
            _keep(labels, waiting[position], keys[pressed])
            position += 1
        elif pressed == SKIP:
            position += 1
        elif pressed == UNDO:
            taken = undo_label(labels, stamp(time.time()))
            print("nothing to take back" if taken is None else f"taken back: {taken.label}")
            position = next((i for i, item in enumerate(waiting) if taken and item.hash == taken.hash), position)


def _shown(item: WorklistItem, position: int, count: int, categories: list[str]) -> Iterator[str]:
    yield ""
    yield f"--- {position + 1} of {count}: {item.category or 'no category'} ({', '.join(item.why) or 'least sure'})"
    yield printable(item.text)
    if item.suggested is not None:
        yield f"a model says: {item.suggested}  [Enter] so it is"
    named = "  ".join(f"[{key}] {name}" for key, name in zip(_KEYS, categories, strict=False))
    yield f"{named}  [{NONE}] none of them  [{SKIP}] skip  [{UNDO}] undo  [{QUIT}] quit"


@contextlib.contextmanager
def _keys_without_enter() -> Iterator[None]:
    """Read each key as it is pressed, also keys pressed ahead."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal, termios.TCSADRAIN)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _keep(labels: Path, item: WorklistItem, label: str) -> None:
    labelled = LabelledText(
        hash=item.hash, text=item.text, label=label, ts=stamp(time.time()), request_id=item.request_id
    )
    add_label(labels, labelled)
    print(f"{item.id}: {label}")


def _undone(labels: Path) -> int:
    taken = undo_label(labels, stamp(time.time()))
    print("there is no label to take back" if taken is None else f"taken back: {taken.hash[:16]}: {taken.label}")
    return 0 if taken else 1


def _chosen(items: list[WorklistItem], name: str) -> WorklistItem:
    found = [item for item in items if item.id == name or item.hash == name]
    if not found:
        raise EvaluationError(f"the worklist has no text {name}; its first column in `pointsman collect` is its id")
    return found[0]
