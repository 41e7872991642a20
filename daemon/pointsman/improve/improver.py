"""Improve the classifier for the admin port: run `collect`, `label` and `fit`, one long command at a time.

The long commands run as separate processes of low priority; they and the service share the files of the state directory
with the command line.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, TypeVar

from pointsman.config.model import Config
from pointsman.daemon_thread import SerialExecutor
from pointsman.errors import EvaluationError, RequestError
from pointsman.improve.folder import ARTIFACTS, LABELS, MAX_REPORT_BYTES, REPORT, WORKLIST
from pointsman.improve.labels_file import LabelledText, add_label, label_of, read_labels, undo_label
from pointsman.improve.long_command import CommandRunner
from pointsman.improve.worklist_file import WorklistItem, read_worklist
from pointsman.observability.log import Log
from pointsman.observability.log_line import stamp
from pointsman.server.response import Response, json_response
from pointsman.store import document

T = TypeVar("T")
Command = Literal["collect", "fit"]
MAX_COMMAND_SECONDS: dict[Command, float] = {"collect": 300.0, "fit": 3_600.0}
# A disk that hangs delays no request for longer.
DISK_SECONDS = 5.0
MAX_TEXTS = 200
MAX_SHOWN_TEXTS = 50
NOWHERE = "there is no state directory ($STATE_DIRECTORY), so there is nowhere to keep labels"


class Improver:
    """The worklist, the labels and the fit of a service."""

    def __init__(self, state: Path | None, config_file: Path, current: Callable[[], Config], log: Log) -> None:
        """Take the state directory, and `current`, which returns the config that the service serves."""
        self._state = state
        self._config_file = config_file
        self._current = current
        self._disk = SerialExecutor("improve")
        self._commands = CommandRunner(log)

    async def describe(self) -> Response:
        """Return the texts to label, the number of labels, and the state of the long command; raises RequestError."""
        config = self._current()
        found: dict[str, Any] = {
            "texts_kept": config.pointsman.log.texts_file is not None,
            "categories": [category.name for category in config.categories],
            "run": self._commands.status(),
            "items": [],
            "labels": {},
            "waiting": 0,
            "report": None,
        }
        if self._state is None:
            return json_response(found | {"trouble": NOWHERE})
        items, labels, report = await self._read(self._on_disk)
        known = {one.hash for one in labels}
        waiting = [item for item in items if item.hash not in known]
        counts: dict[str, int] = {}
        for one in labels:
            counts[one.label] = counts.get(one.label, 0) + 1
        details = {"items": waiting[:MAX_SHOWN_TEXTS], "labels": counts, "waiting": len(waiting), "report": report}
        return json_response(found | details | {"trouble": None})

    async def label(self, text_hash: str, label: str) -> Response:
        """Label a text of the worklist; raises RequestError."""
        state = self._state_directory()
        categories = [category.name for category in self._current().categories]

        def keep() -> LabelledText:
            item = next((one for one in read_worklist(state / WORKLIST) if one.hash == text_hash), None)
            if item is None:
                raise EvaluationError("the worklist has no such text; collect it again")
            labelled = LabelledText(
                item.hash, item.text, label_of(label, categories), stamp(time.time()), item.request_id
            )
            add_label(state / LABELS, labelled)
            return labelled

        labelled = await self._read(keep)
        return json_response({"hash": labelled.hash, "label": labelled.label})

    async def undo(self) -> Response:
        """Remove the last label; raises RequestError."""
        path = self._state_directory() / LABELS
        taken = await self._read(lambda: undo_label(path, stamp(time.time())))
        return json_response({"hash": None if taken is None else taken.hash, "label": taken and taken.label})

    async def start(self, command: Command) -> Response:
        """Start a long command unless one runs; raises RequestError."""
        state = self._state_directory()
        arguments = ["--config", str(self._config_file)]
        if command == "collect":
            arguments += ["-o", str(state / WORKLIST), "--labels", str(state / LABELS), "--limit", str(MAX_TEXTS)]
        else:
            arguments += ["--labelled", str(state / LABELS), "-o", str(_next(state)), "--json", str(state / REPORT)]
        self._commands.start(command, arguments, MAX_COMMAND_SECONDS[command])
        return json_response(self._commands.status(), HTTPStatus.ACCEPTED)

    async def fit_again(self, head: Path) -> Path:
        """Make a head anew from the rows beside it, and return the new one; raises RequestError."""
        made = _next(self._state_directory())
        arguments = ["--config", str(self._config_file), "--again", str(head), "-o", str(made)]
        self._commands.start("fit", arguments, MAX_COMMAND_SECONDS["fit"])
        if (failure := await self._commands.failure()) is not None:
            raise RequestError(failure, status=HTTPStatus.CONFLICT, code="improve_refused")
        return made

    async def cancel(self) -> Response:
        """End the long command that runs; raises RequestError."""
        await self._commands.cancel()
        return json_response(self._commands.status())

    async def close(self) -> None:
        """End the running command."""
        await self._commands.close()

    def _on_disk(self) -> tuple[list[WorklistItem], list[LabelledText], Any]:
        state = self._state_directory()
        try:
            items = read_worklist(state / WORKLIST)
        except EvaluationError:
            items = []
        try:
            report = document.read(state / REPORT, dict[str, Any], MAX_REPORT_BYTES)
        except OSError:
            report = None
        return items, read_labels(state / LABELS), report

    def _state_directory(self) -> Path:
        if self._state is None:
            raise RequestError(NOWHERE, status=HTTPStatus.CONFLICT, code="improve_off")
        return self._state

    async def _read(self, work: Callable[[], T]) -> T:
        """Run disk work, which may hang, in a thread; one at a time. Raises RequestError."""
        try:
            return await self._disk.run(work, DISK_SECONDS)
        except EvaluationError as error:
            raise RequestError(str(error), status=HTTPStatus.CONFLICT, code="improve_refused") from error
        except OSError as error:
            message = f"the files of the state directory cannot be used: {error.strerror}"
            raise RequestError(message, status=HTTPStatus.CONFLICT, code="improve_refused") from error


def _next(state: Path) -> Path:
    """Return the folder of the next artifact."""
    return state / ARTIFACTS / time.strftime("%Y%m%d-%H%M%S")
