"""`make install` in booted Debians, and the package that takes over from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.debian import CONFIG, SERVICE, SOCKET, Booted
from support.packages import Package

from .conftest import Boot

MINE = "\n# mine\n"

pytestmark = pytest.mark.long


def start(machine: Booted, suite: str) -> None:
    """As the handbook says; Debian 12 needs a drop-in."""
    if suite == "bookworm":
        folder = f"/etc/systemd/system/{SERVICE}.d"
        machine.run("install", "-D", "-t", folder, "/opt/pointsman/share/pointsman/before-253.conf")
        machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", SOCKET, SERVICE)


def test_the_package_takes_over_with_the_operators_config(boot: Boot, suite: str, made: Path, package: Package) -> None:
    """The service, enabled and running, goes on with the package's files."""
    with boot(made) as machine:
        config = machine.root / CONFIG
        config.write_text(config.read_text() + MINE)
        start(machine, suite)

        machine.install(package.file)
        machine.run("rm", "-rf", "/opt/pointsman")

        assert machine.serving() == package.version
        assert machine.routed() == "llama2-7b"
        assert machine.run("systemctl", "is-enabled", SOCKET, SERVICE).split() == ["enabled", "enabled"]
        assert config.read_text().endswith(MINE)
