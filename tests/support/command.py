"""A command of the program in this process: what it prints and returns, without the start of another interpreter."""

from __future__ import annotations

import io
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from pointsman import daemon_thread
from pointsman.cli.main import main


def run_here(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it, not for rules about processes: signals, pipes, what is imported, how it ends."""
    given = list(map(str, arguments))
    out, err = io.StringIO(), io.StringIO()
    # A thread that another test left hanging would end this process.
    with redirect_stdout(out), redirect_stderr(err), patch.object(daemon_thread, "all_ended", return_value=True):
        try:
            code = main(given)
        except SystemExit as left:  # argparse's
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
    return subprocess.CompletedProcess(given, code, out.getvalue(), err.getvalue())
