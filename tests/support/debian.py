"""A Debian that boots in namespaces: systemd is its process 1, and its network its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SUITES = ("bookworm", "trixie")
PACKAGES = ("systemd", "systemd-sysv", "python3", "python3-venv", "make", "curl")
SOURCE = Path(__file__).parents[2]
SERVICE, SOCKET = "pointsman.service", "pointsman.socket"
CONFIG = "etc/pointsman/config.yaml"
BOOT_LIMIT_SECONDS = 60.0
STARTED = {"running", "degraded"}

# The steps of a container manager before it starts an init. The root must be one of a mount namespace, since in a mere
# chroot systemd can make none for its services, and shared, or credentials do not reach them. Files written in it go to
# a layer of its own.
BOOT = r"""
set -e
mount --make-rprivate /
mkdir -p "$SCRATCH/upper" "$SCRATCH/work" "$SCRATCH/root"
mount -t overlay -o "lowerdir=$ROOT,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work" overlay "$SCRATCH/root"
cd "$SCRATCH/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for node in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "kmsg 1 11" "tty 5 0" "ptmx 5 2"; do
    set -- $node
    mknod -m 666 "dev/$1" c "$2" "$3"
done
mkdir -p dev/pts dev/shm old
mount -t devpts devpts dev/pts
mount -t tmpfs tmpfs dev/shm
ln -s /proc/self/fd dev/fd
pivot_root . old
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    sh -c 'umount -l /old && mount --make-rshared / && exec /lib/systemd/systemd --unit=multi-user.target'
"""


def missing() -> str | None:
    """Return the programs for making and booting a root that this machine lacks."""
    if os.geteuid() != 0:
        return "only root can make and boot a Debian"
    if shutil.which("debootstrap") is None:
        return "no debootstrap: apt-get install debootstrap"
    tried = subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else f"no namespaces here: {tried.stderr.decode().strip()}"


def make(suite: str, root: Path) -> None:
    """Install a minimal Debian, whose dpkg does not wait for the disk."""
    _run(str(SOURCE / ".ci/debian_root"), suite, str(root), *PACKAGES)
    (root / "etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n")


def enter(root: Path, *command: str) -> None:
    """Run a command in a Debian that is not booted, with this machine's network."""
    passed_on = {
        name: value for name, value in os.environ.items() if name.startswith("PIP_") or "_proxy" in name.lower()
    }
    path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "SYSTEMD_OFFLINE": "1"}
    _run("chroot", str(root), *command, env=passed_on | path)


def copy_source(to: Path) -> None:
    """The sources, without what is built from them."""
    shutil.copytree(SOURCE, to, ignore=shutil.ignore_patterns(".*", "__pycache__", "dist"))


class Booted:
    """`run` runs a command in it, and `root` is its `/` as this machine sees it."""

    def __init__(self, init: int) -> None:
        self.init = init
        self.root = Path(f"/proc/{init}/root")

    def run(self, *command: str, check: bool = True) -> str:
        """The command's output; raises AssertionError with what it said where it fails, unless that is not checked."""
        enter = ("nsenter", "--target", str(self.init), "--all", "--root", "--wd=/", "--")
        return _run(*enter, *command, check=check)

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def bring(self, file: Path) -> str:
        """Copy a file to /root there; its path."""
        shutil.copy(file, self.root / "root")
        return f"/root/{file.name}"

    def install(self, file: Path, *options: str) -> None:
        """Install a package from its file, as the handbook says for a host that nobody watches."""
        keep = ("-o", "Dpkg::Options::=--force-confold")
        self.run("apt-get", "--yes", *keep, "install", *options, self.bring(file))

    def serving(self) -> str:
        """The version of the packaged process that serves: its prefix is named after it."""
        process_id = self.show(SERVICE, "MainPID")
        program = (self.root / "proc" / process_id / "cmdline").read_bytes().split(b"\0")[0].decode()
        return Path(program).parents[1].name

    def routed(self) -> str:
        """The model that a question of mathematics would go to."""
        model: str = self.decided("What are the roots of x^2 - 4?")["model"]
        return model

    def decided(self, question: str) -> dict[str, Any]:
        """What the service decides about a question."""
        body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": question}]})
        command = ("curl", "--silent", "--show-error", "--fail", "-H", "Content-Type: application/json", "-d", body)
        decision: dict[str, Any] = json.loads(self.run(*command, "http://127.0.0.1:8080/v1/route"))["decision"]
        return decision


@contextlib.contextmanager
def booted(root: Path, scratch: Path) -> Iterator[Booted]:
    """Boot a copy of the root, with its changes in `scratch`, and end all its processes in the end."""
    scratch.mkdir(parents=True, exist_ok=True)
    namespaces = ("--mount", "--pid", "--uts", "--ipc", "--cgroup", "--net", "--fork", "--kill-child")
    environment = os.environ | {"ROOT": str(root), "SCRATCH": str(scratch)}
    with (scratch / "boot.log").open("w") as log:
        process = subprocess.Popen(
            ["unshare", *namespaces, "bash", "-c", BOOT], env=environment, stdout=log, stderr=log
        )
    try:
        ends = time.monotonic() + BOOT_LIMIT_SECONDS
        while (machine := _up(process.pid)) is None:
            assert process.poll() is None, (scratch / "boot.log").read_text()
            assert time.monotonic() < ends, f"not up within {BOOT_LIMIT_SECONDS:g} s"
            time.sleep(0.1)
        yield machine
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(scratch)


def _up(unshare: int) -> Booted | None:
    children = Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()
    if not children:
        return None
    machine = Booted(int(children[0]))
    # "degraded" too: in namespaces it can load no kernel modules.
    return machine if machine.run("systemctl", "is-system-running", check=False).strip() in STARTED else None


def _run(*command: str, check: bool = True, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
