"""Make a tar of release 0.1's built-in classifier from the history: `python packaging/former_builtin.py dist`."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMIT = "02cd8f0abfb3973b50f1fdfd6f3e4f631435c9b1"
"""The last one that has it."""
FOLDER = "daemon/pointsman/assets/builtin"
NAME = "pointsman-builtin-0.1.0"


def main(out: Path) -> int:
    """Write the tar into `out`; return 0, or 1 where this checkout has no such history."""
    done = subprocess.run(["git", "archive", COMMIT, FOLDER], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        print(f"the former built-in is in commit {COMMIT[:7]}, which this checkout lacks:", file=sys.stderr)
        print(f"{done.stderr.decode().strip()}; clone the whole repository", file=sys.stderr)
        return 1
    out.mkdir(parents=True, exist_ok=True)
    pack(done.stdout, out / f"{NAME}.tar")
    return 0


def pack(archive: bytes, file: Path) -> None:
    """Write the archive's files anew, so that each host and each version of git makes the same tar."""
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as found,
        tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for member in sorted((one for one in found if one.isfile()), key=lambda one: one.name):
            same = tarfile.TarInfo(f"{NAME}/{Path(member.name).name}")
            same.size, same.mtime = member.size, member.mtime
            tar.addfile(same, found.extractfile(member))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
