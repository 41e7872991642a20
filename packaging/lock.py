"""The wheels that requirements.lock names for one Python on x86_64 Linux, downloaded by their hashes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.markers import Environment, Marker, default_environment

LOCK = Path(__file__).parents[1] / "requirements.lock"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
OLDEST_GLIBC = 28  # of Debian 10 and RHEL 8
PLATFORMS = [*(f"manylinux_2_{minor}_x86_64" for minor in range(OLDEST_GLIBC, 4, -1)), "manylinux2014_x86_64"]


def download(python: str, folder: Path) -> None:
    """Put the wheels for a Python into `folder`; fails where one is missing or has another hash."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / f"requirements-{python}.txt"
    wanted.write_text("".join(entries(LOCK.read_text("utf-8"), python)), "utf-8")
    target = ("--python-version", python, "--implementation", "cp", *(f"--platform={name}" for name in PLATFORMS))
    pip("download", "--require-hashes", "--no-deps", "--only-binary=:all:", *target, "-d", folder, "-r", wanted)
    wanted.unlink()


def entries(lock: str, python: str) -> Iterator[str]:
    """The entries of a lock that hold for a Python, without markers: pip judges those by the Python that it runs on."""
    environment: Environment = default_environment() | {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
    }
    for entry in _split(lock):
        requirement, line_end, hashes = entry.partition("\\")
        pin, _, marker = requirement.partition(";")
        if not marker or Marker(marker).evaluate(environment):
            yield f"{pin.strip()} {line_end}{hashes}"


def _split(lock: str) -> Iterator[str]:
    """Each requirement with its hashes; an entry starts in the first column and continues indented."""
    entry = ""
    for line in lock.splitlines(keepends=True):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        if not line[0].isspace() and entry:
            yield entry
            entry = ""
        entry += line
    if entry:
        yield entry


def pip(*arguments: str | Path) -> None:
    """Run this Python's pip, which says itself what is wrong."""
    if subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=False).returncode:
        raise SystemExit(f"pip {arguments[0]} failed: nothing was built")


def build_own(folder: Path) -> Path:
    """Build Pointsman's wheel from this checkout."""
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, LOCK.parent)
    return next(folder.glob("pointsman-*.whl"))
