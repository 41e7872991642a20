"""Remember the rows that an artifact was fitted on, so that `pointsman eval` does not judge it by them.

The artifact's file `fitted_rows.bin` has the first 8 bytes of the SHA-256 of each row's `text_key` in UTF-8, sorted and
without separators. Of more than 100,000 rows it has those with the smallest hashes.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Sequence

from pointsman import files
from pointsman.classify.artifact import Artifact
from pointsman.errors import ArtifactError, EvaluationError
from pointsman.evaluation.dataset import EvaluationRow, text_key
from pointsman.formats import CHAT
from pointsman.routing.parsed_request import parse_request

FITTED_ROWS = "fitted_rows.bin"
MAX_FITTED_ROWS = 100_000
_BYTES = 8


def pack(texts: Iterable[str]) -> bytes:
    """Return the content of the file for the texts of these rows."""
    return b"".join(sorted({_hash(text) for text in texts})[:MAX_FITTED_ROWS])


def unseen(rows: Sequence[EvaluationRow], found: Artifact) -> list[EvaluationRow]:
    """Return the rows that the artifact was not fitted on, and warn on stderr about the others.

    Raises EvaluationError if none is left, ArtifactError if the artifact's record of its rows cannot be used.
    """
    known = _read(found)
    # The service would classify the ask, so a fit on the ask is a fit on the row.
    left = [
        row for row in rows if known.isdisjoint(map(_hash, (row.text, parse_request(CHAT, row.body).text or row.text)))
    ]
    if not left:
        raise EvaluationError(
            f"all {len(rows):,} rows were used to fit this artifact, which says nothing about new prompts; give it "
            "other rows"
        )
    if used := len(rows) - len(left):
        print(
            f"warning: {used:,} of {len(rows):,} rows were used to fit this artifact; figures below are of the other "
            f"{len(left):,}",
            file=sys.stderr,
        )
    return left


def _hash(text: str) -> bytes:
    return hashlib.sha256(text_key(text).encode()).digest()[:_BYTES]


def _read(found: Artifact) -> frozenset[bytes]:
    """Return the hashes of the rows; none for an artifact without a record of them."""
    if FITTED_ROWS not in found.manifest.files:
        return frozenset()
    path = found.folder / FITTED_ROWS
    try:
        content = files.read(path, MAX_FITTED_ROWS * _BYTES)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); fit the classifier again") from error
    return frozenset(content[start : start + _BYTES] for start in range(0, len(content), _BYTES))
