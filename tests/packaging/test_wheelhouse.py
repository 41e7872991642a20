"""The wheelhouse, installed as its README says on a host without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import needs

ROOT = Path(__file__).parents[2]
QUESTION = "What causes high blood pressure?"
CONFIG = "/etc/pointsman/config.yaml"
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")  # higher ones take a privilege

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheelhouse")
    subprocess.run([sys.executable, ROOT / "packaging/wheelhouse.py", out], check=True)
    (packed,) = out.glob("pointsman-*-wheelhouse-x86_64.tar")
    subprocess.run(["tar", "-C", out, "-xf", packed], check=True)
    return out / packed.name.removesuffix("-x86_64.tar")


def interpreters() -> dict[str, Path]:
    """Those of this host that the wheelhouse is for, on the path or of pyenv, by version."""
    found: dict[str, Path] = {}
    for version in ("3.11", "3.12", "3.13", "3.14"):
        here = shutil.which(f"python{version}")
        for path in [*([Path(here)] if here else []), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]:
            found[version] = path
    return found


PYTHONS = interpreters()


def offline(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command without a network, and without the settings and caches of this host's pip."""
    isolated = {"PATH": "/usr/bin:/bin", "PIP_CONFIG_FILE": "/dev/null", "PIP_NO_CACHE_DIR": "1", "HOME": str(folder)}
    return subprocess.run(
        ["unshare", "--net", *command], cwd=folder, env=isolated, capture_output=True, text=True, check=False
    )


def install(folder: Path, venv: Path) -> subprocess.CompletedProcess[str]:
    options = ("--no-index", "--find-links", ".", "--require-hashes", "--requirement", "requirements.txt")
    return offline(venv / "bin/pip", "install", *options, folder=folder)


@pytest.mark.parametrize("version", PYTHONS)
def test_it_installs_and_classifies_without_a_network(wheelhouse: Path, version: str, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([PYTHONS[version], "-m", "venv", venv], check=True)

    done = install(wheelhouse, venv)
    assert done.returncode == 0, done.stderr

    config = ROOT / "config/config.yaml"
    explained = offline(venv / "bin/pointsman", "explain", QUESTION, "--config", config, folder=tmp_path)
    assert "\nmodel      medical-lora" in explained.stdout


def test_a_wheel_that_was_changed_is_not_installed(wheelhouse: Path, tmp_path: Path) -> None:
    changed = tmp_path / "wheelhouse"
    shutil.copytree(wheelhouse, changed)
    with next(changed.glob("pointsman-*.whl")).open("ab") as wheel:
        wheel.write(b"\0")
    venv = tmp_path / "venv"
    subprocess.run([next(iter(PYTHONS.values())), "-m", "venv", venv], check=True)

    done = install(changed, venv)

    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not (venv / "bin/pointsman").exists()


def test_each_python_finds_each_of_its_wheels(wheelhouse: Path) -> None:
    """Those too that this host does not have."""
    compiled = {path.name for path in wheelhouse.glob("numpy-*.whl")}

    assert {name.split("-")[2] for name in compiled} == {"cp311", "cp312", "cp313", "cp314"}


def test_the_containerfile_makes_an_image_of_it_that_classifies_as_a_user_without_rights(
    wheelhouse: Path, tmp_path: Path
) -> None:
    """Without a registry: the base is a Debian that is made here."""
    context = tmp_path / "context"
    (context / "dist").mkdir(parents=True)
    shutil.copy(ROOT / "Containerfile", context)
    shutil.copy(wheelhouse.parent / f"{wheelhouse.name}-x86_64.tar", context / "dist")
    subprocess.run([ROOT / ".ci/debian_root", "trixie", tmp_path / "debian", "python3", "python3-venv"], check=True)
    storage = ("--root", str(tmp_path / "images"), "--runroot", str(tmp_path / "run"), "--storage-driver", "vfs")

    def buildah(*arguments: str | Path) -> str:
        command = [needs.program("buildah"), *storage, *map(str, arguments)]
        environment = os.environ | {"BUILDAH_ISOLATION": "chroot"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    base = buildah("from", "scratch")
    buildah("add", "--quiet", base, tmp_path / "debian", "/")
    buildah("commit", "--quiet", base, "localhost/base")
    options = ("--network", "none", "--format", "docker", "--build-arg", "BASE=localhost/base")
    buildah("build", *LIMITS, *options, "--tag", "localhost/pointsman", context)
    container = buildah("from", *LIMITS, "localhost/pointsman")

    def run(*command: str) -> str:
        mounted = ("--volume", f"{ROOT / 'config/config.yaml'}:{CONFIG}:ro")
        return buildah("run", *mounted, container, "--", *command)

    assert run("id", "-u") == "65532"
    assert "all-MiniLM-L6-v2" in run("cat", "/usr/share/doc/pointsman/NOTICE")
    explained = run("/opt/pointsman/bin/pointsman", "explain", QUESTION, "--config", CONFIG)
    assert "\nmodel      medical-lora" in explained
