"""The systemd units and `make install`, in a root of their own."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from support import needs, units

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("drop_in", sorted(path.name for path in (units.UNITS / "drop-ins").iterdir()))
def test_systemd_finds_no_fault_in_the_units(drop_in: str, tmp_path: Path) -> None:
    needs.program("systemd-analyze", "systemd")
    assert units.faults(units.install(tmp_path, "before-253.conf", drop_in)) == []


def test_the_service_may_do_little(tmp_path: Path) -> None:
    """`systemd-analyze security` gives it at most 1.5 of 10."""
    needs.program("systemd-analyze", "systemd")
    assert units.exposure(units.install(tmp_path)) <= units.MAX_EXPOSURE


def test_the_admin_socket_is_in_a_folder_that_only_the_group_enters() -> None:
    unit = (units.UNITS / "pointsman.service").read_text()

    assert "RuntimeDirectory=pointsman\n" in unit
    assert "RuntimeDirectoryMode=0750\n" in unit


def test_systemd_replaces_what_hangs_keeps_the_state_and_allows_the_files_of_all_connections() -> None:
    unit = (units.UNITS / "pointsman.service").read_text()
    settings = dict(line.split("=", 1) for line in unit.splitlines() if re.match(r"\w+=", line))

    assert 0 < int(settings["WatchdogSec"].removesuffix("s")) <= 30
    assert settings["StateDirectory"] == "pointsman"
    assert int(settings["LimitNOFILE"]) >= 8192, "two for each of 2,048 connections and requests, the default"


def test_systemd_waits_for_a_reload_and_an_older_one_can_ask_for_it() -> None:
    """SIGHUP comes by itself with `notify-reload`; before systemd 253 a drop-in sends it."""
    older = (units.UNITS / "drop-ins" / "before-253.conf").read_text()

    assert "Type=notify-reload\n" in (units.UNITS / "pointsman.service").read_text()
    assert "Type=notify\n" in older
    assert 'ExecReload=/bin/sh -c "kill -HUP $MAINPID"\n' in older


@pytest.mark.long
def test_install_and_uninstall_leave_what_the_operator_wrote(tmp_path: Path) -> None:
    def make(target: str) -> None:
        command = ["make", "-C", str(ROOT), target, f"DESTDIR={tmp_path}", "PREFIX=/opt/pointsman"]
        subprocess.run(command, check=True, capture_output=True)

    config = tmp_path / "etc/pointsman/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("# mine\n")
    make("install")

    service = (tmp_path / "usr/lib/systemd/system/pointsman.service").read_text()
    assert "ExecStart=/opt/pointsman/bin/pointsman serve --config /etc/pointsman/config.yaml" in service
    python = tmp_path / "opt/pointsman/bin/python"
    done = subprocess.run([python, "-m", "pointsman", "version"], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("pointsman ")
    assert (tmp_path / "opt/pointsman/bin/pointsman").read_text().startswith("#!/opt/pointsman/bin/")

    make("uninstall")

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [config]
    assert config.read_text() == "# mine\n"
