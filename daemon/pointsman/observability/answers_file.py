"""Store which answers can be judged in a file, for the next start."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Literal

import msgspec

from pointsman import daemon_thread
from pointsman.observability.answers import Answer, Answers
from pointsman.store import document

NAME = "answers.json"
# As many answers as are remembered, each with the longest names.
MAX_FILE_BYTES = 64 * 2**20


class _AnswersDocument(msgspec.Struct):
    """The content of the file: a former release refuses answers with a `rater`, so raters are separate."""

    version: Literal[1]
    answers: list[tuple[str, Answer]]
    raters: dict[str, str] = {}


class AnswersFile:
    """The file of `answers` in a state directory: written at the end, and removed once it is read.

    So a crash loses them, and none can be judged twice.
    """

    def __init__(self, folder: Path, answers: Answers) -> None:
        self._path = folder / NAME
        self._answers = answers

    def load(self) -> str | None:
        """Restore the answers and remove the file; return a message for the operator if it cannot be used."""
        try:
            try:
                found = document.read(self._path, _AnswersDocument, MAX_FILE_BYTES)
            finally:
                self._path.unlink(missing_ok=True)
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"{self._path} cannot be used ({error.strerror}): answers of before this start cannot be judged"
        entries = [(name, one._replace(rater=found.raters.get(name, one.rater))) for name, one in found.answers]
        self._answers.restore(entries, time.time())
        return None

    async def save(self) -> None:
        """Write the answers, if there are any; raises OSError."""
        if found := self._answers.entries(time.time()):
            without = Answer._fields.index("rater")
            answers = [(name, one[:without]) for name, one in found]
            raters = {name: one.rater for name, one in found if one.rater}
            content = msgspec.json.encode({"version": 1, "answers": answers, "raters": raters})
            await asyncio.wrap_future(daemon_thread.start(lambda: document.write(self._path, content), "answers"))
