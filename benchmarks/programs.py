"""Start programs for a benchmark; each ends with its `with` block and writes its output to a log."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from support.process import log_tail, no_survivors


@contextlib.contextmanager
def started(log: Path, command: Sequence[str], **options: Any) -> Iterator[Any]:
    """Start a process in its own session; `options` are Popen's."""
    with log.open("wb") as file:
        defaults: dict[str, Any] = {"stdout": file, "stderr": file, "stdin": subprocess.DEVNULL}
        process = subprocess.Popen(command, start_new_session=True, text=True, **(defaults | options))
    with no_survivors(process.pid):
        yield process
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
    process.wait()


@contextlib.contextmanager
def running(
    log: Path, command: Sequence[str], ready: Callable[[], bool], timeout: float, **options: Any
) -> Iterator[Any]:
    """Start a process and wait until it is `ready`; raises RuntimeError with the end of its log if it is not."""
    with started(log, command, **options) as process:
        deadline = time.monotonic() + timeout
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{Path(command[0]).name} does not start:\n{log_tail(log, 8)}")
            time.sleep(0.2)
        yield process
