"""Implement `pointsman texts`: remove stored texts, and everything made from them."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from pointsman import files
from pointsman.classify import head_rows
from pointsman.cli.since import since
from pointsman.config.load import default_path, load
from pointsman.errors import EvaluationError
from pointsman.improve.folder import ARTIFACTS, LABELS, REPORT, WORKLIST
from pointsman.improve.labels_file import LabelledText, forget_labels
from pointsman.improve.texts_file import TextRecord
from pointsman.store.rotated_file import remove, rows


def run(options: argparse.Namespace) -> int:
    """Remove rows; return 1 if the files cannot be changed or no row belongs to a request.

    Raises EvaluationError and ConfigError.
    """
    if not (options.request_id or options.text_hash or options.older_than):
        options.parser.error("say which: --request-id, --text-hash or --older-than")
    state = files.service_state()
    labels = state / LABELS
    try:
        before = since(options.older_than, time.time(), "--older-than")
        path = options.file or _configured(options.config)
        ids, hashes = set(options.request_id or ()), set(options.text_hash or ())
        hashes |= _hashes(path, ids)
        found: set[str] = set()

        def is_meant(row: TextRecord | LabelledText) -> bool:
            """Return whether to remove a row; one of an earlier release has no time, and counts as old."""
            meant = row.request_id in ids or row.hash in hashes or bool(before and row.ts < before)
            if meant:
                found.add(row.hash)
            return meant

        remove(path, TextRecord, is_meant)
        removed = len(found)
        beside_heads = (state / ARTIFACTS).glob(f"*/{head_rows.LABELS}")
        labelled = forget_labels(labels, is_meant) + sum(forget_labels(one, is_meant) for one in beside_heads)
        if removed or labelled:  # these contain texts as well, and can be made again
            (state / WORKLIST).unlink(missing_ok=True)
            (state / REPORT).unlink(missing_ok=True)
    except OSError as error:
        print(f"pointsman: {error.filename}: {error.strerror}; run this as root or the service's user", file=sys.stderr)
        return 1
    print(f"removed {removed:,} text{'' if removed == 1 else 's'} from {path} and its older files")
    if labelled:
        print(f"removed {labelled:,} label{'' if labelled == 1 else 's'} from {labels} and beside heads")
    if options.request_id and not removed + labelled:
        hint = (
            "a text is stored once, for the first request that had it: --text-hash takes that of the request's log line"
        )
        print(f"pointsman: no text is stored for that request; {hint}", file=sys.stderr)
        return 1
    return 0


def _hashes(path: Path, ids: set[str]) -> set[str]:
    """Return the texts of requests: a further row of a text, as from the shadow, may belong to another request."""
    try:
        return {row.hash for row in rows(path, TextRecord) if row.request_id in ids} if ids else set()
    except FileNotFoundError:
        return set()


def _configured(config: Path | None) -> Path:
    path = config or default_path()
    found = load(path).config.pointsman.log.texts_file
    if found is None:
        raise EvaluationError(
            f"{path} has no pointsman.log.texts_file, so no texts are stored; --file names another file"
        )
    return Path(found)
