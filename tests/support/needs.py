"""What a test needs and a machine may lack: without it the test skips with the reason, and in CI (CI=true) it fails."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def lacking(reason: str) -> NoReturn:
    """Skip, or fail in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def program(name: str, package: str | None = None) -> str:
    """Where it is; `package` is Debian's, if that has another name."""
    found = shutil.which(name)
    if found is None:
        lacking(f"no {name}: apt-get install {package or name}")
    return found
