"""Run long commands of the program for the service: each a separate process of low priority, one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from http import HTTPStatus
from typing import Any, Literal, cast

from pointsman.errors import RequestError
from pointsman.observability.log import Log

MAX_OUTPUT_LINES = 20
MAX_OUTPUT_LINE_BYTES = 1 << 16
NICE = 10
# -P: import nothing from the working directory.
COMMAND = (sys.executable, "-P", "-m", "pointsman")

State = Literal["running", "done", "failed", "cancelled"]


class CommandRunner:
    """The command that runs, or the last one."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._command = ""
        self._state: State = "done"
        self._began = 0.0
        self._seconds = 0.0
        self._said: deque[str] = deque(maxlen=MAX_OUTPUT_LINES)
        """The command's last lines: the steps, then the error."""
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None

    def status(self) -> dict[str, Any] | None:
        """Return the command and its state, or None before the first."""
        if not self._command:
            return None
        seconds = time.monotonic() - self._began if self._state == "running" else self._seconds
        fields = {"command": self._command, "state": self._state, "seconds": round(seconds, 1)}
        return fields | {"said": list(self._said)}

    def start(self, command: str, arguments: list[str], seconds: float) -> None:
        """Start a command with a time limit; raises RequestError while one runs."""
        if self._state == "running":
            message = f"{self._command} is running; wait for it, or cancel it"
            raise RequestError(message, status=HTTPStatus.CONFLICT, code="improve_busy")
        self._command, self._state, self._began = command, "running", time.monotonic()
        self._said.clear()
        self._task = asyncio.get_running_loop().create_task(self._follow([command, *arguments], seconds))

    async def failure(self) -> str | None:
        """Wait for the command that runs; return None if it has done its work, else the reason."""
        if self._task is not None:
            await asyncio.wait([self._task])
        if self._state == "done":
            return None
        return self._said[-1] if self._said and self._state == "failed" else self._state

    async def cancel(self) -> None:
        """End the running command; raises RequestError if there is none."""
        if self._state != "running":
            raise RequestError("nothing is running", status=HTTPStatus.CONFLICT, code="improve_idle")
        self._state = "cancelled"
        await self.close()

    async def close(self) -> None:
        """End the running command."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self, arguments: list[str], seconds: float) -> None:
        code = -1
        try:
            async with asyncio.timeout(seconds):
                code = await self._end_of(arguments)
        except (OSError, TimeoutError, ValueError) as error:  # ValueError: a line that is too long
            self._said.append(str(error) or f"it took longer than {seconds:g} s")
        finally:
            if self._process is not None and self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()
            self._seconds = time.monotonic() - self._began
            if self._state == "running":
                self._state = "done" if code == 0 else "failed"
            fields = {"command": self._command, "state": self._state, "seconds": round(self._seconds, 1)}
            self._log.write("info" if code == 0 else "warning", "improve", **fields)

    async def _end_of(self, arguments: list[str]) -> int:
        """Return the exit status; the command's output is stored meanwhile."""
        self._process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *arguments,
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=PIPE,
            limit=MAX_OUTPUT_LINE_BYTES,
            start_new_session=True,
        )
        with contextlib.suppress(OSError):  # the process has ended, or a sandbox forbids this
            nice = max(NICE, os.getpriority(os.PRIO_PROCESS, 0))
            os.setpriority(os.PRIO_PROCESS, self._process.pid, nice)
        while line := await cast("asyncio.StreamReader", self._process.stderr).readline():
            self._said.append(line.decode("utf-8", "replace").strip()[:1_000])
        return await self._process.wait()
