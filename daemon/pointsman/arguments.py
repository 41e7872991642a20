"""Parse the arguments of commands, of which options may stand before, between and behind the others."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


class ArgumentParser(argparse.ArgumentParser):
    """A parser that lets options stand anywhere, as that of Python 3.13 does."""

    def _match_arguments_partial(self, actions: Sequence[argparse.Action], arg_strings_pattern: str) -> list[int]:
        """Leave what may be absent for later: it would be given up as soon as an option stands before it.

        `parse_intermixed_args` takes no subcommands, and loses `--`.
        """
        counts = super()._match_arguments_partial(actions, arg_strings_pattern)
        while counts and not counts[-1]:
            counts.pop()
        return counts
