"""Tries mutants in one copy of the checkout: a task a line on stdin, its result a line on stdout.

The libraries are imported once; each run of the tests is a fork of this process, a session of its own that is killed
when it is over.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from mutants import tree

LIBRARIES = (
    "aiohttp",
    "jsonschema",
    "msgspec",
    "numpy",
    "onnx",
    "onnxruntime",
    "prometheus_client",
    "tokenizers",
    "uvloop",
    "yaml",
)
FAILED, TIMEOUT, SURVIVED = "failed", "timeout", "survived"
CRASHED = 70  # an exit status that pytest does not use: an exception went through it
MAX_DATA_BYTES = 8 << 30  # for a loop without an end
UNIT_RUN_SECONDS = 400.0
DAEMON_TEST_SECONDS = 90
DAEMON_RUN_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Task:
    """A mutated file, the unit tests with the seconds each may take, and other tests, as pytest's arguments.

    `test_s` and `run_s` are the seconds that one of the others and all of them may take, `unit_run_s` all unit tests.
    """

    name: str
    file: str
    source: str
    unit: dict[str, int]
    daemon: list[str]
    test_s: int = DAEMON_TEST_SECONDS
    run_s: float = DAEMON_RUN_SECONDS
    unit_run_s: float = UNIT_RUN_SECONDS


@dataclass(frozen=True, slots=True)
class MutantResult:
    """`by` is the first test that failed or ran too long."""

    name: str
    outcome: str
    by: str
    seconds: float


class TestRunner:
    """Runs chosen tests in their order, and notes which one is running when it ends. SIGALRM ends what hangs."""

    def __init__(self, notes: Path, limits: dict[str, int], otherwise: int) -> None:
        """`otherwise` are the seconds that a test may take which has no limit of its own."""
        self._notes = notes
        self._limits = limits
        self._otherwise = otherwise
        self._failed = False

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._limits:
            position = {name: number for number, name in enumerate(self._limits)}
            items[:] = sorted(
                (item for item in items if item.nodeid in position), key=lambda item: position[item.nodeid]
            )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._note(f"import in {report.nodeid}")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if not self._failed:
            self._notes.write_text(nodeid)
        signal.alarm(self._limits.get(nodeid, self._otherwise))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._note(report.nodeid)

    def _note(self, text: str) -> None:
        if not self._failed:
            self._failed = True
            self._notes.write_text(text)


@contextlib.contextmanager
def started(copy: Path, scratch: Path, **variables: str) -> Iterator[Callable[[Task], MutantResult]]:
    """Start a worker in a copy of the checkout, with more environment variables; what is yielded has it try a task."""
    environment = tree.environment(copy) | variables
    command = [sys.executable, "-m", "mutants.worker", str(scratch)]
    with subprocess.Popen(
        command, cwd=copy, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:

        def tried(task: Task) -> MutantResult:
            assert worker.stdin
            assert worker.stdout
            print(json.dumps(asdict(task)), file=worker.stdin, flush=True)
            return MutantResult(**json.loads(worker.stdout.readline()))

        yield tried


def main(scratch: Path) -> None:
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    warnings.simplefilter("ignore", DeprecationWarning)  # of a fork: this process has one thread
    for library in LIBRARIES:
        importlib.import_module(library)
    scratch.mkdir(parents=True, exist_ok=True)
    for line in sys.stdin:
        print(json.dumps(asdict(attempt(Task(**json.loads(line)), scratch))), flush=True)


def attempt(task: Task, scratch: Path) -> MutantResult:
    start = time.monotonic()
    with mutated(Path(task.file), task.source):
        outcome, by = SURVIVED, ""
        if task.unit:
            files = list(dict.fromkeys(name.partition("::")[0] for name in task.unit))
            outcome, by = tests(files, task.unit, task.test_s, scratch, task.unit_run_s)
        if outcome == SURVIVED and task.daemon:
            outcome, by = tests(task.daemon, {}, task.test_s, scratch, task.run_s)
    return MutantResult(task.name, outcome, by, round(time.monotonic() - start, 1))


@contextlib.contextmanager
def mutated(file: Path, source: str) -> Any:
    """The original comes back with its old time, so that its compiled form counts again."""
    original, times = file.read_bytes(), file.stat()
    file.write_text(source)
    try:
        yield
    finally:
        file.write_bytes(original)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def tests(files: list[str], limits: dict[str, int], test_s: int, scratch: Path, limit: float) -> tuple[str, str]:
    """Run them until the first fails; the outcome, and which test made it. None has, when the whole time is up."""
    notes = scratch / "notes"
    notes.write_text("")
    child = os.fork()
    if child == 0:
        try:
            os._exit(_run(files, scratch, TestRunner(notes, limits, test_s)))
        finally:  # whatever happens, this process is a copy and must not continue
            os._exit(CRASHED)
    status = _wait(child, time.monotonic() + limit)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if not status:
        return SURVIVED, ""
    by = notes.read_text()
    if not by and os.WIFEXITED(status) and os.WEXITSTATUS(status) == CRASHED:
        raise RuntimeError(f"pytest did not run: {files}")
    return (TIMEOUT if os.WIFSIGNALED(status) else FAILED), by or f"import in {files[0]}"


def _run(files: list[str], scratch: Path, watch: TestRunner) -> int:
    os.setsid()
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA_BYTES, MAX_DATA_BYTES))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    options = ["-x", "-q", "-m", "not nightly", "-p", "no:cacheprovider", "--tb=no", f"--basetemp={scratch / 'tmp'}"]
    return int(pytest.main([*files, *options], plugins=[watch]))


def _wait(child: int, deadline: float) -> int | None:
    """Return the status, or None when it was ended at the deadline."""
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
