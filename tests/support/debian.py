"""A Debian made with debootstrap and booted in namespaces: systemd is its process 1, and its network its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

SUITE = os.environ.get("POINTSMAN_DEBIAN", "trixie")
PACKAGES = "systemd,systemd-sysv,python3,python3-venv,make,curl,ca-certificates"
MIRROR = "http://deb.debian.org/debian"
BOOT_LIMIT_S = 60.0
STARTED = {"running", "degraded"}

# What a container manager does before it starts an init. The root must be one of a mount namespace, since in a mere
# chroot systemd can make none for its services, and shared, or credentials do not reach them.
BOOT = r"""
set -e
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
cd "$ROOT"
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
    """What this machine lacks to make and boot one."""
    if os.geteuid() != 0:
        return "only root can make and boot a Debian"
    if shutil.which("debootstrap") is None:
        return "no debootstrap: apt-get install debootstrap"
    tried = subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else f"no namespaces here: {tried.stderr.decode().strip()}"


def make(root: Path) -> None:
    """Install a minimal Debian; what runs in it before it boots has this machine's network."""
    _run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root), MIRROR)
    for name in ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt"):
        shutil.copy(Path("/", name), root / name)


def install(root: Path, source: Path) -> None:
    """Follow the handbook: the sources to /root/pointsman, and `make install` there."""
    shutil.copytree(source, root / "root/pointsman", ignore=shutil.ignore_patterns(".*", "__pycache__", "dist"))
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or "_proxy" in name.lower()}
    path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "SYSTEMD_OFFLINE": "1"}
    _run("chroot", str(root), "make", "-C", "/root/pointsman", "install", env=kept | path)


class Booted:
    """`run` runs a command in it."""

    def __init__(self, init: int, root: Path) -> None:
        self._enter = ("nsenter", "--target", str(init), "--all", "--root", "--wd=/", "--")
        self.root = root

    def run(self, *command: str, check: bool = True) -> str:
        """The command's output; raises AssertionError with what it said where it fails, unless that is not checked."""
        return _run(*self._enter, *command, check=check)

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()


@contextlib.contextmanager
def booted(root: Path) -> Iterator[Booted]:
    """Boots it, and ends all its processes in the end."""
    namespaces = ("--mount", "--pid", "--uts", "--ipc", "--cgroup", "--net", "--fork", "--kill-child")
    with (root.parent / "boot.log").open("w") as log:
        process = subprocess.Popen(
            ["unshare", *namespaces, "bash", "-c", BOOT], env=os.environ | {"ROOT": str(root)}, stdout=log, stderr=log
        )
    try:
        ends = time.monotonic() + BOOT_LIMIT_S
        while (machine := _up(process.pid, root)) is None:
            assert process.poll() is None, (root.parent / "boot.log").read_text()
            assert time.monotonic() < ends, f"not up within {BOOT_LIMIT_S:g} s"
            time.sleep(0.1)
        yield machine
    finally:
        process.kill()
        process.wait()


def _up(unshare: int, root: Path) -> Booted | None:
    children = Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()
    if not children:
        return None
    machine = Booted(int(children[0]), root)
    # "degraded" too: in namespaces it can load no kernel modules.
    return machine if machine.run("systemctl", "is-system-running", check=False).strip() in STARTED else None


def _run(*command: str, check: bool = True, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
