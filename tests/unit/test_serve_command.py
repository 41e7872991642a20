"""`pointsman serve` in this process: up to where it would serve, and the signals that end it."""

from __future__ import annotations

import argparse
import gc
import json
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from pointsman.app.serve import _signals
from pointsman.cli import serve as command
from pointsman.errors import CannotStart
from support.process import eventually


@pytest.fixture(autouse=True)
def loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A config that is read, and nothing that outlives the test."""
    log = SimpleNamespace(level="info")
    prepared = SimpleNamespace(config=SimpleNamespace(pointsman=SimpleNamespace(log=log)))
    source = SimpleNamespace(prepare=lambda: prepared)
    monkeypatch.setattr(command, "ConfigSource", lambda *_: source)
    monkeypatch.setattr(command, "set_up_malloc", lambda _: None)
    monkeypatch.setattr(gc, "freeze", lambda: None)


def run(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> int:
    async def serve(*_: Any, **__: Any) -> None:
        if error is not None:
            raise error

    monkeypatch.setattr(command, "serve", serve)
    return command.run(argparse.Namespace(config="nowhere", vllm=None, log_level=None, demo=False))


def test_a_service_that_has_ended_is_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, None) == 0


def test_a_crash_is_a_line_in_the_log_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, ZeroDivisionError("of our own")) == 1
    (line,) = map(json.loads, capfd.readouterr().err.splitlines())
    assert (line["level"], line["event"]) == ("error", "crashed")
    assert "ZeroDivisionError: of our own" in line["traceback"]


def test_a_reason_not_to_start_is_no_crash(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CannotStart):
        run(monkeypatch, CannotStart("the port is in use"))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_drains_and_the_second_one_interrupts_that(number: signal.Signals) -> None:
    stop, interrupt = _signals()
    for both in (False, True):
        signal.raise_signal(number)
        await eventually(lambda both=both: (interrupt if both else stop).is_set(), "it is received", timeout_s=5)  # type: ignore[misc]
        assert (stop.is_set(), interrupt.is_set()) == (True, both)
