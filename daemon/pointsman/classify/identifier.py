"""Load py3langid's identifier for the languages that artifacts may declare.

The library unpacks its model in half a second of CPU. What is needed of it is stored for the next start in the state
directory, as the cost curve is, and read in a tenth of that time.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import time
from array import array
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from py3langid.langid import MODEL_DIR, MODEL_FILE, LanguageIdentifier

from pointsman import files
from pointsman.classify.curve_file import state_folder
from pointsman.classify.manifest import LANGUAGES

ALIASES = {"nb": "no"}
# The library knows 60 more, such as Latin and Nigerian Pidgin, and finds them in English jargon and slang.
CANDIDATES = LANGUAGES - ALIASES.keys()
BLOCK = 32
"""Numbers of a table that are compared at once; with 16 a fifth less is left, and finding them takes twice as long."""
STORED = "languages-{}.npz"
FORMAT = 1
"""Of the stored arrays."""
MAX_STORED_BYTES = 64 << 20
OLD_SECONDS = 3_600.0

Arrays = dict[str, Any]


class FoldedTable:
    """A table in which blocks that are equal are in memory once: of the library's 40 MB of transitions 7 are left.

    Most of them are those of the first state, as in any automaton that looks for many words.
    """

    __slots__ = ("_blocks", "_cells")

    def __init__(self, cells: array[int], blocks: array[int]) -> None:
        """`cells` are the distinct blocks, `blocks` the offset in them of each block of the table."""
        self._cells, self._blocks = cells, blocks

    @classmethod
    def of(cls, table: array[int]) -> FoldedTable:
        """Fold a table."""
        raw, size = memoryview(table).cast("B"), BLOCK * table.itemsize
        offsets: dict[bytes, int] = {}
        found = (bytes(raw[at : at + size]) for at in range(0, len(raw), size))
        blocks = array("I", [offsets.setdefault(block, BLOCK * len(offsets)) for block in found])
        return cls(array(table.typecode, b"".join(offsets)), blocks)

    def __getitem__(self, at: int) -> int:
        return self._cells[self._blocks[at // BLOCK] + at % BLOCK]

    def arrays(self) -> Arrays:
        """Return what `from_arrays` makes this table of."""
        return {"cells": np.asarray(self._cells), "blocks": np.asarray(self._blocks)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> FoldedTable:
        """Return the table that `arrays` came from."""
        return cls(*(array(arrays[name].dtype.char, arrays[name].tobytes()) for name in ("cells", "blocks")))


@cache
def load_identifier() -> LanguageIdentifier:
    """Return the identifier, which all gates share and several threads may use."""
    model = (MODEL_DIR / MODEL_FILE).read_bytes()
    form = FORMAT, metadata.version("py3langid"), sorted(CANDIDATES), BLOCK
    stored = state_folder() / STORED.format(hashlib.sha256(model + repr(form).encode()).hexdigest()[:12])
    try:
        return _identifier(dict(np.load(io.BytesIO(files.read(stored, MAX_STORED_BYTES)), allow_pickle=False)))
    except Exception:  # noqa: BLE001 - a damaged file raises whatever zipfile and numpy make of it
        arrays = _unpacked()
    with contextlib.suppress(OSError):  # without the file, the next start takes longer
        _store(stored, arrays)
    return _identifier(arrays)


def _unpacked() -> Arrays:
    """Return the library's model, for the candidates alone."""
    full = LanguageIdentifier.from_model_file(MODEL_FILE)
    full.set_languages(CANDIDATES)
    return FoldedTable.of(full.tk_nextmove).arrays() | {
        "weights": np.ascontiguousarray(full.nb_ptc),  # contiguous rows are read in half the time
        "priors": full.nb_pc,
        "classes": np.asarray(full.nb_classes),
        "output": np.asarray(full.tk_output),
        "row": np.asarray(full.tk_row),
    }


def _identifier(arrays: Arrays) -> LanguageIdentifier:
    return LanguageIdentifier(
        arrays["weights"],
        arrays["priors"],
        arrays["classes"].tolist(),
        FoldedTable.from_arrays(arrays),
        arrays["output"].tolist(),
        norm_probs=True,
        tk_row=arrays["row"].tolist(),
    )


def _store(path: Path, arrays: Arrays) -> None:
    """Write the arrays, in place of those of another version; raises OSError."""
    content = io.BytesIO()
    np.savez(content, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, content.getvalue(), replace=True)
    for former in (*path.parent.glob(STORED.format("*")), *path.parent.glob(f".{STORED.format('*')}.*")):
        # A temporary file that is old was left by a process that was killed.
        if former != path and (not former.name.startswith(".") or time.time() - former.stat().st_mtime > OLD_SECONDS):
            former.unlink(missing_ok=True)
