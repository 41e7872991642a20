"""The command line. Exit codes: 0 well, 1 failed, 2 usage, 3 cannot start, 141 nobody reads the output any more.

docs/operations.md says what they mean for each command.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from pointsman.cli.parser import parser
from pointsman.errors import CannotStart, ConfigError

CANNOT_START = 3
READER_LEFT = 141  # what a shell says of a program that SIGPIPE ended
# Commands with arguments of their own: the module whose `main` takes them.
OTHERS = {
    "eval": "pointsman.evaluation.main",
    "export": "pointsman_export.export.main",
    "fit": "pointsman_export.fit.main",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        try:
            return _run(sys.argv[1:] if argv is None else list(argv))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # `pointsman eval ... | head`: whoever reads has enough. What is still buffered must not fail again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_LEFT


def _run(arguments: list[str]) -> int:
    try:
        if arguments and (other := OTHERS.get(arguments[0])):
            return int(importlib.import_module(other).main(arguments[1:]))
        options = parser().parse_args(arguments)
        return int(importlib.import_module(f"pointsman.cli.{options.command}").run(options))
    except ConfigError as error:
        print(error, file=sys.stderr)
    except CannotStart as error:
        print(f"pointsman: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        return 1
    return CANNOT_START
