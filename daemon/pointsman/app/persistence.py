"""Preserve stored responses' owners and the answers that can be judged across restarts, in the state directory."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from pointsman import daemon_thread, files
from pointsman.app.supervisor import Supervisor
from pointsman.observability.answers import Answers
from pointsman.observability.answers_file import AnswersFile
from pointsman.observability.log import Log
from pointsman.proxy.responses_file import ResponsesFile
from pointsman.proxy.stored_responses import StoredResponses

# Time for the last write of a file. A disk that hangs does not delay the exit.
CLOSE_SECONDS = 2.0


@contextlib.asynccontextmanager
async def persisted(
    responses: StoredResponses, answers: Answers, supervisor: Supervisor, log: Log
) -> AsyncIterator[None]:
    """Restore those of an earlier process, and store them until the end; without a state directory, do nothing."""
    folder = files.state_directory()
    if folder is None:
        yield
        return
    responses_file, answers_file = ResponsesFile(folder, responses), AnswersFile(folder, answers)
    for event, trouble in (("stored_responses", responses_file.load()), ("feedback", answers_file.load())):
        if trouble is not None:
            log.write("warning", event, message=trouble)
    supervisor.start("stored_responses", responses_file.run)
    try:
        yield
    finally:
        for event, what, save in (
            ("feedback", "the answers that can be judged", answers_file.save),
            ("stored_responses", "the last responses", responses_file.save),
        ):
            try:
                async with daemon_thread.within(CLOSE_SECONDS):
                    await save()
            except OSError as error:
                log.write("warning", event, message=f"{what} were not stored: {error.strerror}")
