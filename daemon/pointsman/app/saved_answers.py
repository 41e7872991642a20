"""Preserve across a restart which answers can be judged, if there is a state directory.

They are written once, at the end, and the file is removed once it is read: a crash loses them, so that none can be
judged twice.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import msgspec

from pointsman import daemon_thread, files
from pointsman.observability.answers import Answer, Answers
from pointsman.observability.log import Log

NAME = "answers.json"
# As many answers as are remembered, each with the longest names.
MAX_FILE_BYTES = 64 * 2**20
# A disk that hangs does not delay the exit.
CLOSE_SECONDS = 2.0


class _AnswersFile(msgspec.Struct):
    """The content of the file: a former release refuses answers with a `rater`, so raters are separate."""

    version: Literal[1]
    answers: list[tuple[str, Answer]]
    raters: dict[str, str] = {}


@contextlib.asynccontextmanager
async def saved_answers(answers: Answers, log: Log) -> AsyncIterator[None]:
    """Restore the answers of an earlier process, and store them at the end."""
    folder = files.state_directory()
    if folder is None:
        yield
        return
    path = folder / NAME
    if (trouble := _restore(path, answers)) is not None:
        log.write("warning", "feedback", message=trouble)
    try:
        yield
    finally:
        await _keep(path, answers, log)


def _restore(path: Path, answers: Answers) -> str | None:
    """Restore and remove the file; return a message for the operator if it cannot be used."""
    try:
        content = files.read(path, MAX_FILE_BYTES)
        path.unlink()
        found = msgspec.json.decode(content, type=_AnswersFile)
        entries = [(name, one._replace(rater=found.raters.get(name, one.rater))) for name, one in found.answers]
        answers.restore(entries, time.time())
    except FileNotFoundError:
        return None
    except OSError as error:
        why = error.strerror
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        why = str(error)
    else:
        return None
    return f"{path} cannot be used ({why}): answers of before this start cannot be judged"


async def _keep(path: Path, answers: Answers, log: Log) -> None:
    found = answers.entries(time.time())
    if not found:
        return
    try:
        await daemon_thread.run(lambda: _write(path, found), "answers", CLOSE_SECONDS)
    except (OSError, TimeoutError) as error:
        why = getattr(error, "strerror", None) or f"it took longer than {CLOSE_SECONDS:g} s"
        log.write("warning", "feedback", message=f"the answers that can be judged were not stored: {why}")


def _write(path: Path, entries: list[tuple[str, Answer]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    without = Answer._fields.index("rater")
    content = {
        "version": 1,
        "answers": [(name, one[:without]) for name, one in entries],
        "raters": {name: one.rater for name, one in entries if one.rater},
    }
    files.write(path, msgspec.json.encode(content), replace=True, mode=0o600)
