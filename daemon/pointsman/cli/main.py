"""Run the command line. Exit codes: 0 success, 1 failure, 2 usage, 3 cannot start, 4 to do by hand, 141 broken pipe.

docs/operations.md explains them for each command.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from pointsman import daemon_thread
from pointsman.cli.parser import parser
from pointsman.errors import CannotStart, CommandFailed, ConfigError

FAILED = 1
CANNOT_START = 3
LEAVE_SECONDS = 0.5
READER_LEFT = 141  # as a shell reports a program that SIGPIPE ended
# Commands that parse their own arguments, by the module and the function that run them.
OTHERS = {
    "eval": ("pointsman.evaluation.main", "main"),
    "export": ("pointsman_export.export.main", "main"),
    "fit": ("pointsman_export.fit.main", "main"),
    "teach": ("pointsman_export.teach.main", "main"),
    "replay": ("pointsman.evaluation.main", "replay_log"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; end the process if a library that hangs would abort its end."""
    code = _caught(sys.argv[1:] if argv is None else list(argv))
    if not daemon_thread.all_ended(LEAVE_SECONDS):
        sys.stderr.flush()
        os._exit(code)
    return code


def _caught(arguments: list[str]) -> int:
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _redirect(sys.stdout)  # the reader, such as `head`, has closed the pipe
        return READER_LEFT


def _run(arguments: list[str]) -> int:
    try:
        if arguments and (other := OTHERS.get(arguments[0])):
            module, function = other
            return int(getattr(importlib.import_module(module), function)(arguments[1:]))
        options = parser().parse_args(arguments)
        return int(importlib.import_module(f"pointsman.cli.{options.command}").run(options))
    except ConfigError as error:
        _complain(str(error))
    except CannotStart as error:
        _complain(f"pointsman: {error}")
    except CommandFailed as error:
        _complain(f"pointsman: {error}")
        return FAILED
    except KeyboardInterrupt:
        return FAILED
    return CANNOT_START


def _complain(message: str) -> None:
    """Print to stderr; if that fails, as on a full disk, the exit code must do."""
    try:
        print(message, file=sys.stderr)
    except OSError:
        _redirect(sys.stderr)


def _redirect(stream: TextIO) -> None:
    """Discard the buffered output of a stream, or flushing it at exit would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
