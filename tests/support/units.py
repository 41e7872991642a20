"""The systemd units as they are installed, and what `systemd-analyze` says of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

UNITS = Path(__file__).parents[2] / "systemd"
MAX_EXPOSURE = 1.5  # of 10; what Debian's nginx and haproxy have is 9.4


def install(folder: Path, *drop_ins: str) -> Path:
    """Install the service's unit in `folder`, with a program that exists, its socket and some of the drop-ins."""
    (folder / "bin").mkdir()
    (folder / "bin" / "pointsman").symlink_to("/bin/true")
    service = folder / "pointsman.service"
    service.write_text((UNITS / "pointsman.service").read_text().replace("@PREFIX@", str(folder)))
    shutil.copy(UNITS / "pointsman.socket", folder)
    (folder / "pointsman.service.d").mkdir()
    for name in drop_ins:
        shutil.copy(UNITS / "drop-ins" / name, folder / "pointsman.service.d")
    return service


def faults(unit: Path) -> list[str]:
    """Return the faults that `systemd-analyze verify` finds in a unit, its socket and its drop-ins."""
    command = ["systemd-analyze", "verify", "--man=no", str(unit), str(unit.with_suffix(".socket"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [line for line in done.stderr.splitlines() if "pointsman" in line]


def exposure(unit: Path) -> float:
    """Return the exposure of a unit by `systemd-analyze security`: 0 may do nothing, 10 everything."""
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout
    return float(found[1])
