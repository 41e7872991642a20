"""Store clients' feedback in a file, if the operator enables it. No request waits for the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from pointsman.observability.answers import Answer, Answers
from pointsman.observability.log import Log
from pointsman.observability.log_line import stamp
from pointsman.store.rotated_file import RotatedFile

# The file before has this size, too.
FILE_BYTES = 64 * 2**20
_BAD_LABELS = frozenset({"bad", "wrong", "down", "dislike", "negative", "thumbs_down"})
_GOOD_LABELS = frozenset({"good", "right", "up", "like", "positive", "thumbs_up"})


class FeedbackLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the file: feedback, with the decision that it is about."""

    ts: str = ""
    event: str
    request_id: str = ""
    path: str = ""
    selected_model: str = ""
    category: str | None = None
    reason: str | None = None
    arm: str | None = None
    draw: str | None = None
    author: str | None = None
    text_hash: str | None = None
    score: float | None = None
    label: str | None = None
    comment: str | None = None

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
        rated: Callable[[Answer, FeedbackLine], object] = lambda *_: None,
    ) -> None:
        """Open the file or create it; raises CannotStart."""
        self._file = RotatedFile(path, "pointsman.log.feedback_file", FILE_BYTES, older=1, failing=self._failing)
        self._path = path
        self._log = log
        self.answers = answers
        self._rated = rated

    def keep(
        self,
        request_id: str,
        answer: Answer,
        now: float,
        *,
        score: float | None = None,
        label: str | None = None,
        comment: str | None = None,
    ) -> bool:
        """Append feedback on an answer soon; return False if too much waits for the disk."""
        line = FeedbackLine(
            ts=stamp(now),
            event="feedback",
            request_id=request_id,
            path=answer.path,
            selected_model=answer.model,
            category=answer.category,
            reason=answer.reason,
            arm=answer.arm,
            draw=answer.draw,
            author=answer.rater or None,
            text_hash=answer.text_hash,
            score=score,
            label=label,
            comment=comment,
        )
        accepted = self._file.put(line)
        if accepted:
            self._rated(answer, line)
        return accepted

    def close(self) -> None:
        """Write everything queued and close the file; waits for the disk for a second at most."""
        self._file.close()

    def _failing(self, error: str) -> None:
        message = f"{self._path} cannot be written; it is tried again, and feedback that cannot wait is refused"
        self._log.write("warning", "feedback_file", message=message, error=error)
