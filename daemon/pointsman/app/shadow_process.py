"""Start the process of the classifier in shadow, ask it, and end it; its failures do not affect the service."""

from __future__ import annotations

import asyncio
import contextlib
import os
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from pointsman.classify.classification import Classification, Timing
from pointsman.classify.encoder import Encoder
from pointsman.classify.heads import ArtifactScores
from pointsman.classify.shadow import COMMAND, START_SECONDS, ShadowAnswer, ShadowOptions, ShadowReady, environment
from pointsman.config.model import Config

# The process reads texts when nobody else uses the core. Loading with this priority would take minutes on a busy host.
NICE_LOADING, NICE = 10, 19
TEXT_SECONDS = 60.0
"""For one text: seconds on a host with idle cores, so that a process which takes longer hangs."""
# Time to exit after closing its output.
END_SECONDS = 2.0
MAX_ANSWER_LINE_BYTES = 1 << 20

T = TypeVar("T", ShadowReady, ShadowAnswer)


class ShadowEnded(Exception):
    """The process cannot be asked any more; the message says why."""


def shadow_options(folder: Path, config: Config, first: Encoder) -> ShadowOptions:
    """Return the order for an artifact, which reads as much of a text as the first classifier does on this host."""
    options = config.pointsman.classifier
    return ShadowOptions(
        folder=str(folder),
        max_tokens=first.settings()["max_tokens"],
        head_share=options.head_share,
        language_gate=options.language_gate,
        load_seconds=options.load_timeout_ms / 1000,
    )


def classification(answer: ShadowAnswer | ArtifactScores, described: tuple[float, ...]) -> Classification:
    """Return an answer without an error in the form of the service's classifiers.

    Without scores of its own, described categories have those that the serving classifier gave them, `described`.
    """
    own = answer.described if isinstance(answer, ArtifactScores) else described
    return Classification(
        probabilities=answer.probabilities,
        tokens=0,
        cut=False,
        timing=Timing(),
        source="run",
        language=answer.language,
        supported=answer.supported,
        described=own,
    )


class ShadowProcess:
    """A process that has loaded an artifact."""

    def __init__(self, process: Process) -> None:
        self.labels: tuple[str, ...] = ()
        self._process = process
        self._input = cast("asyncio.StreamWriter", process.stdin)
        self._output = cast("asyncio.StreamReader", process.stdout)

    @classmethod
    async def start(cls, options: ShadowOptions) -> ShadowProcess:
        """Start the process, and wait until it is ready; raises ShadowEnded."""
        try:
            process = await asyncio.create_subprocess_exec(
                *COMMAND,
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env=environment(),
                limit=MAX_ANSWER_LINE_BYTES,
                start_new_session=True,
            )
        except OSError as error:
            raise ShadowEnded(f"cannot be started ({error.strerror})") from error
        started = cls(process)
        try:
            started._lower_priority(NICE_LOADING)
            ready = await started._exchange(options, ShadowReady, START_SECONDS + options.load_seconds)
        except BaseException:  # also on cancellation: nothing else would end it
            await started.close()
            raise
        if ready.error is not None:
            await started.close()
            raise ShadowEnded(ready.error)
        started.labels = ready.labels
        started._lower_priority(NICE)
        return started

    def _lower_priority(self, nice: int) -> None:
        """Set the nice value of the only thread that works."""
        with contextlib.suppress(OSError):  # the process has ended, or a sandbox forbids this
            os.setpriority(os.PRIO_PROCESS, self._process.pid, max(nice, os.getpriority(os.PRIO_PROCESS, 0)))

    async def ask(self, text: str) -> ShadowAnswer:
        """Return the answer to a text; raises ShadowEnded."""
        return await self._exchange(text, ShadowAnswer, TEXT_SECONDS)

    async def _exchange(self, message: ShadowOptions | str, kind: type[T], seconds: float) -> T:
        line = b""
        try:
            async with asyncio.timeout(seconds):
                self._input.write(_line(message))
                line = await self._output.readline()
        except TimeoutError:
            raise ShadowEnded(f"did not answer within {seconds:g} s") from None
        except (OSError, ValueError, RuntimeError):
            pass  # it does not read, its line is too long, or uvloop has closed the pipe of one that has ended
        try:
            return msgspec.json.decode(line, type=kind)
        except msgspec.DecodeError:
            pass
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self._process.wait()
        status = await self.close()
        raise ShadowEnded(f"ended by signal {-status}" if status < 0 else f"ended with status {status}")

    async def close(self) -> int:
        """End the process; return its exit status."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        status = await self._process.wait()
        self._input.close()
        with contextlib.suppress(OSError):  # both pipes end with the process
            await self._input.wait_closed()
            await self._output.read()
        return status


def _line(message: ShadowOptions | str) -> bytes:
    try:
        return msgspec.json.encode(message) + b"\n"
    except UnicodeEncodeError:  # a client has sent half of a surrogate pair
        return msgspec.json.encode(str(message).encode("utf-8", "replace").decode()) + b"\n"
