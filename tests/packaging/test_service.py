"""The systemd units and `make install`, in a root of their own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "systemd"
MOST_EXPOSED = 1.5  # of 10; what Debian's nginx and haproxy have is 9.4

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is NOT installed")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The units as they are installed, with a program that exists."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pointsman").symlink_to("/bin/true")
    service = tmp_path / "pointsman.service"
    service.write_text((UNITS / "pointsman.service").read_text().replace("@PREFIX@", str(tmp_path)))
    shutil.copy(UNITS / "pointsman.socket", tmp_path)
    return service


@needs_systemd
def test_systemd_finds_no_fault_in_the_units(unit: Path) -> None:
    command = ["systemd-analyze", "verify", "--man=no", unit, unit.with_suffix(".socket")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert [line for line in done.stderr.splitlines() if "pointsman" in line] == []


@needs_systemd
def test_the_service_may_do_little(unit: Path) -> None:
    """`systemd-analyze security` gives it at most 1.5 of 10."""
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED * 10:.0f}", unit]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_a_reload_is_not_offered_before_the_service_knows_one() -> None:
    """SIGHUP, which a reload would send, ends the process."""
    service = (UNITS / "pointsman.service").read_text()
    assert "Type=notify\n" in service
    assert "ExecReload" not in service


def test_install_and_uninstall_leave_what_the_operator_wrote(tmp_path: Path) -> None:
    def make(target: str) -> None:
        command = ["make", "-C", ROOT, target, f"DESTDIR={tmp_path}", "PREFIX=/opt/pointsman"]
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
