"""Store clients' feedback in a file, if the operator enables it. No request waits for the disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from pointsman.errors import CannotStart
from pointsman.observability.answers import Answer, Answers
from pointsman.observability.log import Log
from pointsman.observability.log_line import stamp
from pointsman.store.line_writer import LineWriter
from pointsman.store.rotated_file import RotatedFile

# The file before has this size, too.
FILE_BYTES = 64 * 2**20
# A slow disk must not delay the end of the service: what it has not taken by then is lost.
CLOSE_SECONDS = 1.0
_BAD_LABELS = frozenset({"bad", "wrong", "down", "dislike", "negative", "thumbs_down"})
_GOOD_LABELS = frozenset({"good", "right", "up", "like", "positive", "thumbs_up"})


class FeedbackLine(msgspec.Struct, frozen=True):
    """The fields of a line of the file of feedback that are read."""

    event: str
    request_id: str = ""
    text_hash: str | None = None
    score: float | None = None
    label: str | None = None

    @property
    def is_bad(self) -> bool:
        return (self.score is not None and self.score < 0.5) or (self.label or "").casefold() in _BAD_LABELS

    @property
    def is_good(self) -> bool:
        liked = (self.score is not None and self.score >= 0.5) or (self.label or "").casefold() in _GOOD_LABELS
        return liked and not self.is_bad


class FeedbackFile:
    """The file of feedback, readable by its owner only: JSON lines, each with the decision that it is about.

    `answers` are those that clients may judge; `rated` is called with an answer and its feedback.
    """

    def __init__(
        self,
        path: Path,
        log: Log,
        answers: Answers,
        rated: Callable[[Answer, Mapping[str, object]], object] = lambda *_: None,
    ) -> None:
        """Open the file or create it; raises CannotStart."""
        try:
            self._file = RotatedFile(path, FILE_BYTES, older=1)
        except OSError as error:
            raise CannotStart(
                f"pointsman.log.feedback_file: {path} cannot be written ({error.strerror}); check path and permissions"
            ) from error
        self._path = path
        self._log = log
        self.answers = answers
        self._rated = rated
        self._writer = LineWriter(
            self._file.descriptor, "feedback", lambda *_: b"", self._failing, self._file.make_room
        )

    def keep(self, request_id: str, answer: Answer, said: dict[str, object], now: float) -> bool:
        """Append feedback on an answer soon; return False if too much waits for the disk."""
        line: dict[str, object] = {
            "ts": stamp(now),
            "event": "feedback",
            "request_id": request_id,
            "path": answer.path,
            "selected_model": answer.model,
            "category": answer.category,
            "reason": answer.reason,
            "arm": answer.arm,
            "draw": answer.draw,
            "author": answer.rater or None,
            "text_hash": answer.text_hash,
        }
        fields = {name: value for name, value in (line | said).items() if value is not None}
        accepted = self._writer.put(msgspec.json.encode(fields) + b"\n")
        if accepted:
            self._rated(answer, said)
        return accepted

    def close(self) -> None:
        """Write everything queued and close the file; waits for the disk, at most CLOSE_SECONDS."""
        if self._writer.close(CLOSE_SECONDS):
            self._file.close()

    def _failing(self, error: str) -> None:
        message = f"{self._path} cannot be written; it is tried again, and feedback that cannot wait is refused"
        self._log.write("warning", "feedback_file", message=message, error=error)
