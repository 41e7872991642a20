"""What all tests share: signals as a terminal has them, a state of their own, workers, and no silent skip in CI."""

from __future__ import annotations

import gc
import os
import signal
import socket
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from support import cost_curve, needs
from support.times import CPU, CpuMeter, append, lines_of


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Set what programs inherit, and have the workers wait for nothing."""
    # A shell's background job ignores SIGINT, and so would each program that a test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # torch's threads spin where others use the cores, and models as small as these gain nothing by them.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # pytest-rerunfailures sends two messages for each test, of which the second would wait for the first's
    # acknowledgment, 40 ms.
    connection = getattr(getattr(config, "failures_db", None), "sock", None)
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for a real vLLM takes longest, and begins first, so that no worker is left with it alone."""
    items.sort(key=lambda item: item.get_closest_marker("vllm") is None)


def pytest_collection_finish() -> None:
    """What was collected stays to the end: the garbage collector need not go through it again and again."""
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Only with `-n`; what `make nightly` runs is in few files, and spread by tests."""
    if config.option.markexpr == "nightly":
        return None
    from support.workers import ByFile

    config.option.loadscopereorder = False
    return ByFile(config, log)


_cpu = CpuMeter()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test that skips fails, unless it is excused. Each report has its CPU time."""
    report = yield
    report.user_properties.append((CPU, _cpu.passed()))
    skipped = call.excinfo and call.excinfo.value
    if needs.in_ci() and isinstance(skipped, pytest.skip.Exception) and not isinstance(skipped, needs.Excused):
        report.outcome, report.longrepr = "failed", f"skipped in CI: {skipped}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """So does a module that skips as a whole."""
    report = yield
    if needs.in_ci() and report.skipped:
        report.outcome, report.longrepr = "failed", f"skipped in CI: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name each test that needed its second try, with what failed first."""
    if hasattr(config, "workerinput"):  # what its reports say is told by the process that starts the workers
        return
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.section(f"first try of {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)
    lines = lines_of(terminalreporter.stats)
    append(lines)
    for line in lines:
        if "first_failure" in line:
            terminalreporter.write_line(f"SECOND TRY {line['test']}: {line['first_failure']}")


@pytest.fixture(scope="session", autouse=True)
def state_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a service keeps for its next start is kept for the tests alone, and for the daemons that they start."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("state")
        cost_curve.leave_builtin(folder)  # no start measures it again
        patch.setitem(os.environ, "STATE_DIRECTORY", str(folder))
        yield
