"""What libraries and the interpreter report is a line of the log, and nothing of it goes to stderr."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pointsman.observability.library_log import adopt_library_log
from pointsman.observability.log import Log
from support.log import Memory


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Memory]:
    """A log that has adopted them, until the end of the test."""
    root, log = logging.getLogger(), Memory()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    adopt_library_log(Log("info", log))
    yield log
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def the_line(log: Memory) -> dict[str, Any]:
    (line,) = map(json.loads, log.getvalue().splitlines())
    assert isinstance(line, dict)
    return line


def failure() -> ZeroDivisionError:
    """An error that was raised."""
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / 0
    return caught.value


def test_a_warning_of_a_library_is_a_line_without_a_traceback(written: Memory) -> None:
    logging.getLogger("some.library").warning("%s is odd", "it", exc_info=failure())
    line = the_line(written)
    assert (line["level"], line["event"], line["logger"], line["message"]) == (
        "warning",
        "library",
        "some.library",
        "it is odd",
    )
    assert line["error"] == "ZeroDivisionError('division by zero')"
    assert "traceback" not in line


def test_an_error_of_a_library_has_its_traceback(written: Memory) -> None:
    logging.getLogger("asyncio").error("it failed", exc_info=failure())
    line = the_line(written)
    assert line["level"] == "error"
    assert "ZeroDivisionError: division by zero" in line["traceback"]


def test_what_a_library_merely_notes_is_not_written(written: Memory) -> None:
    logging.getLogger("some.library").info("all is well")
    assert written.getvalue() == ""


def test_arguments_that_do_not_fit_the_message_fail_nobody(written: Memory) -> None:
    [handler] = [one for one in logging.getLogger().handlers if type(one).__module__.startswith("pointsman")]
    handler.handle(logging.LogRecord("some.library", logging.WARNING, "file", 1, "%d is odd", ("it",), None))
    assert the_line(written)["message"] == "%d is odd"


def test_a_python_warning_is_a_line(written: Memory) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("deprecated", UserWarning, stacklevel=1)
    assert "UserWarning: deprecated" in the_line(written)["message"]


def test_an_exception_that_a_thread_does_not_catch_is_a_line(
    written: Memory, capfd: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        raise ZeroDivisionError("in a thread")

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    thread.join()
    line = the_line(written)
    assert (line["level"], line["event"], line["where"]) == ("error", "uncaught", "worker")
    assert "ZeroDivisionError: in a thread" in line["traceback"]
    assert capfd.readouterr().err == ""


def test_an_exception_in_a_destructor_is_a_line(written: Memory, capfd: pytest.CaptureFixture[str]) -> None:
    class Broken:
        def __del__(self) -> None:
            raise ZeroDivisionError("in a destructor")

    Broken().__del__  # noqa: B018 - it is gone at the end of the line
    assert "ZeroDivisionError: in a destructor" in the_line(written)["traceback"]
    assert capfd.readouterr().err == ""


def test_an_exception_in_a_callback_of_the_event_loop_is_a_line(written: Memory) -> None:
    async def fail() -> None:
        def work() -> None:
            raise ZeroDivisionError("in a callback")

        asyncio.get_running_loop().call_soon(work)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(fail())
    assert "ZeroDivisionError: in a callback" in the_line(written)["traceback"]


def test_a_signal_that_is_ignored_as_meant_is_no_error(written: Memory) -> None:
    """Python reports one that comes just before its handler is taken back, as a SIGHUP at the end."""
    for message in ("Signal 1 ignored due to race condition", "no such file"):
        error: Any = SimpleNamespace(exc_value=OSError(message), object=None)
        sys.unraisablehook(error)
    assert "no such file" in the_line(written)["traceback"]
