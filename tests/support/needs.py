"""The needs of a test that a machine may lack: without one the test skips, and in CI (CI=true) it fails.

In CI any other skip fails too (see `tests/conftest.py`); only things that CI cannot have, a GPU or the training data,
may be missing there: `excused` says so, in one counted line of the summary for each reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest
from _pytest.outcomes import Skipped


class Excused(Skipped):
    """A skip that CI accepts."""

    __module__ = "builtins"  # else pytest writes ours before each reason


def in_ci() -> bool:
    return os.environ.get("CI") == "true"


def lacking(reason: str) -> NoReturn:
    """Skip, or fail in CI."""
    if in_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def excused(reason: str) -> NoReturn:
    """Skip, in CI too."""
    raise Excused(reason)


def program(name: str, package: str | None = None) -> str:
    """Return the path of a program; `package` is Debian's, if that has another name."""
    found = shutil.which(name)
    if found is None:
        lacking(f"no {name}: apt-get install {package or name}")
    return found


def inside(daemon: int) -> Path:
    """A daemon's folder in /proc; the daemon lets root alone read its memory, and list its files."""
    if os.geteuid() != 0:
        lacking("only root may look into the daemon")
    return Path(f"/proc/{daemon}")


def has_card() -> bool:
    """Return whether NVIDIA's driver knows a GPU here."""
    if shutil.which("nvidia-smi") is None:
        return False
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, check=False)
    return listed.returncode == 0 and bool(listed.stdout.strip())
