"""Run a command that writes an artifact, and end with a report or with one line about the error."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pointsman.classify.manifest import LANGUAGES
from pointsman.errors import CannotStart
from pointsman_export.common.errors import ExportError

_DONE, _FAILED = 0, 1


def run(name: str, output: Path, work: Callable[[], str]) -> int:
    """Run `work` for `pointsman NAME` and return the exit code; `work` writes `output` and returns the report."""
    try:
        with _termination_as_interrupt():
            report = work()
    except (ExportError, CannotStart) as error:
        return _failed(name, str(error))
    except ImportError as error:
        return _failed(name, f"needs the extra pointsman[{name}] ({error}); install it")
    except OSError as error:
        return _failed(name, f"{error}; make room or check the permissions")
    except KeyboardInterrupt:
        return _failed(name, "interrupted, nothing was written")
    print(f"{output}\n{report}")
    return _DONE


def languages(text: str) -> list[str]:
    """Return the codes in the value of `--languages`; raises argparse.ArgumentTypeError."""
    codes = [code.strip() for code in text.split(",")]
    if unknown := [code for code in codes if code not in LANGUAGES]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(sorted(LANGUAGES))}")
    return codes


def _failed(name: str, why: str) -> int:
    print(f"pointsman {name}: {why}", file=sys.stderr)
    return _FAILED


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Handle SIGTERM like Ctrl-C, so that it leaves no half-written artifact either."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
