"""Debian packages of this checkout and of a later build, each built once for all workers of a test run."""

from __future__ import annotations

import fcntl
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from support import debian

NUMBERS = {"bookworm": 12, "trixie": 13}
MODULE = "daemon/pointsman/__init__.py"
VERSION = re.findall('__version__ = "(.+)"', (debian.SOURCE / MODULE).read_text())[0]
"""Of sources without a repository, which a copy has not."""
NEXT = f"{VERSION}+git20261201120000.g0123456789ab"
"""Not a release: built from a commit after it."""
RETRAINED = f"{VERSION}+git20261202120000.g0123456789ab"
"""Of a commit whose built-in classifier has an encoder of its own, by its manifest; the files are the same."""
BUILTIN = "daemon/pointsman/assets/builtin/pointsman.json"


@dataclass(frozen=True)
class Package:
    file: Path
    version: str
    """As dpkg has it."""


def build(suite: str, version: str, folder: Path) -> Package:
    """The package of a version, from `folder` where it is there already."""
    package = Package(folder / f"pointsman_{version}+deb{NUMBERS[suite]}_amd64.deb", f"{version}+deb{NUMBERS[suite]}")
    folder.mkdir(exist_ok=True)
    with (folder / f"{package.version}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not package.file.exists():
            _build(suite, version, folder)
    return package


def _build(suite: str, version: str, folder: Path) -> None:
    source = folder / f"source-{suite}-{version}"
    debian.copy_source(source)
    module = source / MODULE
    module.write_text(module.read_text().replace(f'"{VERSION}"', f'"{version}"'))
    if version == RETRAINED:
        manifest = json.loads((source / BUILTIN).read_text())
        manifest["features"]["recipe"] += ", by another encoder"
        (source / BUILTIN).write_text(json.dumps(manifest))
    command = [sys.executable, str(source / "packaging/deb.py"), suite, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
