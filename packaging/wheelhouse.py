"""Build the wheelhouse, a tar of all wheels for hosts without a network: `python packaging/wheelhouse.py dist`."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import lock

README = """\
Pointsman {version} with all that it needs, for CPython 3.11 to 3.14 on x86_64 Linux with glibc 2.28 or newer.
In this folder, without a network:

    python3 -m venv /opt/pointsman
    /opt/pointsman/bin/pip install --no-index --find-links . --require-hashes --requirement requirements.txt
"""


def main(out: Path) -> None:
    """Download the wheels of each Python, add Pointsman's own, and name the hash of each in requirements.txt."""
    with tempfile.TemporaryDirectory() as scratch:
        wheels = Path(scratch, "wheels")
        own = lock.build_own(wheels)
        version = own.name.split("-")[1]
        for python in lock.PYTHONS:
            lock.download(python, wheels)
        folder = wheels.rename(wheels.with_name(f"pointsman-{version}-wheelhouse"))
        write(folder, version, hashlib.sha256((folder / own.name).read_bytes()).hexdigest())
        out.mkdir(exist_ok=True)
        pack(folder, out / f"{folder.name}-x86_64.tar")


def write(folder: Path, version: str, own_hash: str) -> None:
    requirements = f"pointsman=={version} --hash=sha256:{own_hash}\n{lock.LOCK.read_text('utf-8')}"
    (folder / "requirements.txt").write_text(requirements, "utf-8")
    (folder / "README").write_text(README.format(version=version), "utf-8")


def pack(folder: Path, file: Path) -> None:
    """Of the same wheels the same tar."""
    time = os.environ.get("SOURCE_DATE_EPOCH", "0")
    same = ("--sort=name", f"--mtime=@{time}", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX")
    subprocess.run(["tar", *same, "-C", folder.parent, "-cf", file, folder.name], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
