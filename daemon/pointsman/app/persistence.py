"""Preserve stored responses' owners and the answers that can be judged across restarts, in the state directory."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import msgspec

from pointsman import daemon_thread, files
from pointsman.app.supervisor import Supervisor
from pointsman.observability.answers import Answer, Answers
from pointsman.observability.log import Log
from pointsman.proxy.responses_file import ResponsesFile
from pointsman.proxy.stored_responses import StoredResponses

ANSWERS = "answers.json"
# As many answers as are remembered, each with the longest names.
MAX_ANSWERS_BYTES = 64 * 2**20
# Time for the last write. A disk that hangs does not delay the exit.
CLOSE_SECONDS = 2.0


class _AnswersDocument(msgspec.Struct):
    """The content of the file: a former release refuses answers with a `rater`, so raters are separate."""

    version: Literal[1]
    answers: list[tuple[str, Answer]]
    raters: dict[str, str] = {}


@contextlib.asynccontextmanager
async def persisted_responses(responses: StoredResponses, supervisor: Supervisor, log: Log) -> AsyncIterator[None]:
    """Restore the responses of an earlier process, and update the file until the end."""
    folder = files.state_directory()
    if folder is None:
        yield
        return
    file = ResponsesFile(folder, responses)
    if (trouble := file.load()) is not None:
        log.write("warning", "stored_responses", message=trouble)
    supervisor.start("stored_responses", file.run)
    try:
        yield
    finally:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await file.save()
        except (OSError, TimeoutError) as error:
            why = getattr(error, "strerror", None) or f"it took longer than {CLOSE_SECONDS:g} s"
            log.write("warning", "stored_responses", message=f"the last responses were not stored: {why}")


@contextlib.asynccontextmanager
async def persisted_answers(answers: Answers, log: Log) -> AsyncIterator[None]:
    """Restore the answers of an earlier process, and store them at the end.

    The file is removed once it is read: a crash loses them, so that none can be judged twice.
    """
    folder = files.state_directory()
    if folder is None:
        yield
        return
    path = folder / ANSWERS
    if (trouble := _restore(path, answers)) is not None:
        log.write("warning", "feedback", message=trouble)
    try:
        yield
    finally:
        await _keep(path, answers, log)


def _restore(path: Path, answers: Answers) -> str | None:
    """Restore and remove the file; return a message for the operator if it cannot be used."""
    try:
        content = files.read(path, MAX_ANSWERS_BYTES)
        path.unlink()
        found = msgspec.json.decode(content, type=_AnswersDocument)
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
