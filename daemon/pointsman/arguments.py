"""Parse the arguments of commands, whose options may be before, between and after the others."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


class ArgumentParser(argparse.ArgumentParser):
    """A parser that accepts options at any position, as that of Python 3.13 does."""

    def _match_arguments_partial(self, actions: Sequence[argparse.Action], arg_strings_pattern: str) -> list[int]:
        """Leave optional arguments for later: they would be given up as soon as an option precedes them.

        `parse_intermixed_args` takes no subcommands, and loses `--`.
        """
        counts = super()._match_arguments_partial(actions, arg_strings_pattern)
        while counts and not counts[-1]:
            counts.pop()
        return counts
