"""Build the Debian package for a suite: `python packaging/deb.py trixie dist`."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import lock
from version import debian

SOURCE = Path(__file__).parents[1]
TEMPLATES = Path(__file__).with_name("debian")
UNITS = "usr/lib/systemd/system"
CONFIG = "etc/pointsman/config.yaml"


@dataclass(frozen=True)
class Suite:
    """A Debian release: its number, its Python, and whether its systemd knows Type=notify-reload."""

    number: int
    python: str
    notify_reload: bool


SUITES = {"bookworm": Suite(12, "3.11", notify_reload=False), "trixie": Suite(13, "3.13", notify_reload=True)}


@dataclass(frozen=True)
class Package:
    """A package that is being built: `stage` becomes its root."""

    suite: Suite
    version: str
    stage: Path

    @property
    def prefix(self) -> str:
        """Each version has a folder of its own, so that an upgrade replaces no module of one that runs."""
        return f"usr/lib/pointsman/{self.version}"

    @property
    def site_packages(self) -> Path:
        return self.stage / self.prefix / f"lib/python{self.suite.python}/site-packages"

    def write(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        file = self.stage / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        file.chmod(mode)


def main(name: str, out: Path) -> None:
    """Download the wheels, lay out the package in a temporary folder, and pack it."""
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as scratch:
        wheels = Path(scratch, "wheels")
        own = lock.build_own(wheels)
        lock.download(SUITES[name].python, wheels)
        built = own.name.split("-")[1]
        package = Package(SUITES[name], f"{debian(built)}+deb{SUITES[name].number}", Path(scratch, "stage"))
        install(package, wheels)
        for add in (venv, service, instruments, documents, completions, control):
            add(package)
        out.mkdir(exist_ok=True)
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Zzstd", "--build", package.stage, out], check=True)


def install(package: Package, wheels: Path) -> None:
    """Unpack the wheels, without the programs that they bring along."""
    target = ("--python-version", package.suite.python, *(f"--platform={name}" for name in lock.PLATFORMS))
    options = ("--no-index", "--no-deps", "--no-compile", "--only-binary=:all:", "--implementation", "cp")
    lock.pip("install", *options, *target, "--target", package.site_packages, *sorted(wheels.glob("*.whl")))
    shutil.rmtree(package.site_packages / "bin", ignore_errors=True)


def venv(package: Package) -> None:
    """A virtual environment is two files; /usr/bin/pointsman runs in it."""
    python = package.stage / package.prefix / "bin/python"
    python.parent.mkdir()
    python.symlink_to(f"/usr/bin/python{package.suite.python}")
    settings = f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {package.suite.python}\n"
    package.write(f"{package.prefix}/pyvenv.cfg", settings)
    program = "import sys\n\nfrom pointsman.cli.main import main\n\nsys.exit(main())\n"
    package.write("usr/bin/pointsman", f"#!/{package.prefix}/bin/python -I\n{program}", 0o755)


def service(package: Package) -> None:
    """The units, the user, the config, and the drop-ins that an operator may copy."""
    running = f"/usr/lib/pointsman/running/{package.version}/bin/python -Im pointsman"
    unit = (SOURCE / "systemd/pointsman.service").read_text()
    package.write(f"{UNITS}/pointsman.service", unit.replace("@PREFIX@/bin/pointsman", running))
    package.write(f"{UNITS}/pointsman.socket", (SOURCE / "systemd/pointsman.socket").read_text())
    package.write("usr/lib/sysusers.d/pointsman.conf", (SOURCE / "systemd/sysusers.conf").read_text())
    package.write(CONFIG, (SOURCE / "config/config.yaml").read_text())
    for drop_in in (SOURCE / "systemd/drop-ins").iterdir():
        package.write(f"usr/share/pointsman/{drop_in.name}", drop_in.read_text())
        if drop_in.name == "before-253.conf" and not package.suite.notify_reload:
            package.write(f"{UNITS}/pointsman.service.d/{drop_in.name}", drop_in.read_text())


def instruments(package: Package) -> None:
    """Prometheus' alert rules and Grafana's dashboard, to be named or imported there."""
    package.write("usr/share/pointsman/alerts.yaml", (SOURCE / "config/prometheus/alerts.yaml").read_text())
    package.write("usr/share/pointsman/dashboard.json", (SOURCE / "config/grafana/pointsman.json").read_text())


def documents(package: Package) -> None:
    folder = "usr/share/doc/pointsman"
    own = (SOURCE / "NOTICE").read_text()
    notice = generated(package, "notice.py", str(package.site_packages))
    package.write(f"{folder}/NOTICE", f"{own}\n{notice}")
    package.write(f"{folder}/copyright", copyright_of(own))
    package.write(f"{folder}/changelog.gz", gzip.compress((SOURCE / "CHANGELOG.md").read_bytes(), mtime=0))
    page = generated(package, "man.py", package.version).encode()
    package.write("usr/share/man/man1/pointsman.1.gz", gzip.compress(page, mtime=0))


def copyright_of(notice: str) -> str:
    """Return Debian's copyright file: the holder, the license, and the notice of what the classifier is made from.

    Its form: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
    """
    holder = notice.splitlines()[1].removeprefix("Copyright ")
    origin, license_text = (
        "".join(f" {line or '.'}\n" for line in text.splitlines())
        for text in (notice, (SOURCE / "LICENSE").read_text())
    )
    return (
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
        "Upstream-Name: pointsman\n"
        f"Comment:\n{origin} .\n The libraries and their licenses are in /usr/share/doc/pointsman/NOTICE.\n\n"
        f"Files: *\nCopyright: {holder}\nLicense: Apache-2.0\n\n"
        f"License: Apache-2.0\n{license_text}"
    )


def completions(package: Package) -> None:
    bash, zsh = "usr/share/bash-completion/completions/pointsman", "usr/share/zsh/vendor-completions/_pointsman"
    package.write(bash, generated(package, "completion.py", "bash"))
    package.write(zsh, generated(package, "completion.py", "zsh"))


def generated(package: Package, script: str, *arguments: str) -> str:
    """The output of a script of this folder, for the command line of this checkout."""
    sources = os.environ | {"PYTHONPATH": f"{SOURCE / 'daemon'}:{SOURCE / 'export'}"}
    command = [sys.executable, Path(__file__).with_name(script), *arguments]
    done = subprocess.run(command, env=sources, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{script} failed: nothing was built")
    return done.stdout


def control(package: Package) -> None:
    """Return the control data that dpkg reads, and the scripts that it runs."""
    values = {"VERSION": package.version, "PYTHON": package.suite.python, "SIZE": str(kilobytes(package.stage))}
    for template in TEMPLATES.iterdir():
        text = template.read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        package.write(f"DEBIAN/{template.name}", text, 0o644 if template.name == "control" else 0o755)
    package.write("DEBIAN/conffiles", f"/{CONFIG}\n")


def kilobytes(folder: Path) -> int:
    return sum(-(-path.lstat().st_size // 1024) for path in files(folder))


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
