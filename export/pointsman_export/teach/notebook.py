"""Keep what a model was asked and said, line by line, so that a stopped teaching goes on where it stopped."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from pointsman.errors import EvaluationError
from pointsman.store.rows_file import RowsFile

MAX_NOTES = 100_000
MAX_NOTES_BYTES = 256 << 20


class AnswerNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """The prompts of a written answer, or the category that a judged prompt was said to be of (None: nobody's).

    `of` is a hash of all that was asked.
    """

    of: str
    prompts: list[str] | None = None
    judged: str | None = None


class Notebook:
    """The notes of a file; a question that has one is not asked again."""

    def __init__(self, path: Path) -> None:
        """Read the notes, if there are any; raises EvaluationError."""
        self._file = RowsFile(path, AnswerNote, MAX_NOTES_BYTES)
        try:
            self._notes = {note.of: note for note in self._file.read() if note is not None}
        except FileNotFoundError:
            self._notes = {}
        except OSError as error:
            raise _unusable(path, error) from error

    def get(self, of: str) -> AnswerNote | None:
        return self._notes.get(of)

    def add(self, note: AnswerNote) -> None:
        """Append a note; raises EvaluationError."""
        if len(self._notes) >= MAX_NOTES:
            raise EvaluationError(f"{self._file.path}: has {MAX_NOTES:,} notes, and takes no more; remove it")
        self._notes[note.of] = note
        try:
            self._file.append([note], sync=False)
        except OSError as error:
            raise _unusable(self._file.path, error) from error


def question_key(*parts: object) -> str:
    """Return a hash of what a question is made of."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]


def _unusable(path: Path, error: OSError) -> EvaluationError:
    return EvaluationError(f"{path}: cannot be used ({error.strerror}); check path, permissions and room")
