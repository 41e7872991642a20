"""Implement `pointsman texts`: remove stored texts, and everything made from them."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Collection
from pathlib import Path

from pointsman import files
from pointsman.classify import head_rows
from pointsman.cli.since import since
from pointsman.config.load import default_path, load
from pointsman.errors import EvaluationError
from pointsman.improve.folder import ARTIFACTS, LABELS, REPORT, TAUGHT, WORKLIST
from pointsman.improve.labels_file import LabelledText, forget_labels
from pointsman.improve.taught_file import LOCAL, forget_taught
from pointsman.improve.texts_file import TextRecord
from pointsman.observability.feedback_file import FeedbackLine
from pointsman.store.rotated_file import remove, rows


def run(options: argparse.Namespace) -> int:
    """Remove rows; return 1 if the files cannot be changed or no row belongs to a request.

    Raises EvaluationError and ConfigError.
    """
    if not (options.request_id or options.text_hash or options.client or options.older_than):
        options.parser.error("say which: --request-id, --text-hash, --client or --older-than")
    state = files.service_state()
    labels = state / LABELS
    try:
        before = since(options.older_than, time.time(), "--older-than")
        path, feedback = (options.file, None) if options.file else _configured(options.config)
        ids, hashes, clients = (set(given or ()) for given in (options.request_id, options.text_hash, options.client))
        hashes |= _hashes(path, ids, clients)
        found: dict[str, str] = {}

        def is_meant(row: TextRecord | LabelledText) -> bool:
            """Return whether to remove a row; one of an earlier release has no time, and counts as old."""
            meant = row.request_id in ids or row.hash in hashes or bool(before and row.ts < before)
            if meant:
                found[row.hash] = row.text
            return meant

        remove(path, TextRecord, is_meant)
        removed = len(found)
        texts = set(found.values())
        learned = {
            folder.name: forget_labels(folder / head_rows.LABELS, is_meant)
            + forget_taught(folder / head_rows.TAUGHT_ROWS, lambda row: row.text in texts or row.client in clients)
            for folder in sorted((state / ARTIFACTS).glob("[!.]*"))
        }
        labelled = forget_labels(labels, is_meant) + sum(learned.values())
        labelled += forget_taught(state / TAUGHT, lambda row: row.text in texts or row.client in clients)
        if feedback is not None and feedback.exists():
            remove(feedback, FeedbackLine, lambda row: row.request_id in ids or row.text_hash in found)
        if removed or labelled:  # these contain texts as well, and can be made again
            (state / WORKLIST).unlink(missing_ok=True)
            (state / REPORT).unlink(missing_ok=True)
    except OSError as error:
        print(f"pointsman: {error.filename}: {error.strerror}; run this as root or the service's user", file=sys.stderr)
        return 1
    print(f"removed {removed:,} text{'' if removed == 1 else 's'} from {path} and its older files")
    if labelled:
        print(f"removed {labelled:,} label{'' if labelled == 1 else 's'} from {labels.parent} and beside heads")
    if heads := [name for name, count in learned.items() if count]:
        print(f"learned from some of them, and still serve what they learned: {', '.join(heads)}; discard them, or")
        print("make them anew: `pointsman fit --again`")
    if options.request_id and not removed + labelled:
        hint = (
            "a text is stored once, for the first request that had it: --text-hash takes that of the request's log line"
        )
        print(f"pointsman: no text is stored for that request; {hint}", file=sys.stderr)
        return 1
    return 0


def _hashes(path: Path, ids: Collection[str], clients: Collection[str]) -> set[str]:
    """Return the texts of requests: a further row of a text, as from the shadow, may belong to another request."""
    if not ids and not clients:
        return set()
    try:
        return {row.hash for row in rows(path, TextRecord) if row.request_id in ids or (row.client or LOCAL) in clients}
    except FileNotFoundError:
        return set()


def _configured(config: Path | None) -> tuple[Path, Path | None]:
    """Return the file of texts, and that of feedback, if there is one; raises EvaluationError and ConfigError."""
    path = config or default_path()
    log = load(path).config.pointsman.log
    found = log.texts_file
    if found is None:
        raise EvaluationError(
            f"{path} has no pointsman.log.texts_file, so no texts are stored; --file names another file"
        )
    return Path(found), None if log.feedback_file is None else Path(log.feedback_file)
