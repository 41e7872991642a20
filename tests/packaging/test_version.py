"""The version of a build: a build between releases is none of them, and sorts where it belongs."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from packaging.version import Version
from support import needs

ROOT = Path(__file__).parents[2]
MODULE = "daemon/pointsman/__init__.py"
BUILT = ("pyproject.toml", "README.md", "LICENSE", "export/pointsman_export/__init__.py")
TIME, NUMBER = "2026-12-01T14:00:00+02:00", "20261201120000"
CALL = "import version; print(version.{})"


def run(*command: str | Path, folder: Path | None = None, **more: str) -> str:
    environment = os.environ | more
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def git(folder: Path, *arguments: str) -> str:
    given = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    return run("git", "-C", folder, *given, *arguments, GIT_AUTHOR_DATE=TIME, GIT_COMMITTER_DATE=TIME)


def called(folder: Path, call: str) -> str:
    return run(sys.executable, "-c", CALL.format(call), PYTHONPATH=str(folder / "packaging"))


def built(folder: Path) -> str:
    return called(folder, "version()")


def commit(folder: Path) -> str:
    """What a version has of the newest commit."""
    return f"g{git(folder, 'rev-parse', 'HEAD')[:12]}"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Of 0.2.0, without a repository."""
    folder = tmp_path / "sources"
    for name in (MODULE, "packaging/version.py", ".gitignore", *BUILT):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    module = folder / MODULE
    module.write_text(re.sub('(?<=__version__ = ")[^"]*', "0.2.0", module.read_text()))
    return folder


@pytest.fixture
def checkout(sources: Path) -> Path:
    git(sources, "init", "--quiet")
    git(sources, "add", ".")
    git(sources, "commit", "--quiet", "--message=all")
    return sources


def test_the_checkout_of_a_tag_is_the_release(checkout: Path) -> None:
    git(checkout, "tag", "v0.2.0")
    assert built(checkout) == "0.2.0"


def test_before_its_tag_and_after_it_a_build_has_the_commit_and_its_time(checkout: Path) -> None:
    assert built(checkout) == f"0.2.0.dev{NUMBER}+{commit(checkout)}"

    git(checkout, "tag", "v0.2.0")
    git(checkout, "commit", "--quiet", "--allow-empty", "--message=more")
    assert built(checkout) == f"0.2.0+git{NUMBER}.{commit(checkout)}"


@pytest.mark.parametrize("name", [MODULE, "daemon/pointsman/more.py"])
def test_what_is_not_committed_makes_no_release(name: str, checkout: Path) -> None:
    git(checkout, "tag", "v0.2.0")
    with (checkout / name).open("a") as file:
        file.write("\n")
    assert built(checkout) == f"0.2.0+git{NUMBER}.{commit(checkout)}.dirty"


def test_a_tag_of_another_version_or_another_branch_is_not_its_release(checkout: Path) -> None:
    git(checkout, "tag", "v0.1.0")
    git(checkout, "checkout", "--quiet", "-b", "other")
    git(checkout, "commit", "--quiet", "--allow-empty", "--message=more")
    git(checkout, "tag", "v0.2.0")
    git(checkout, "checkout", "--quiet", "-")
    assert built(checkout) == f"0.2.0.dev{NUMBER}+{commit(checkout)}"


def test_the_same_commit_has_the_same_version_in_a_clone_without_history(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "commit", "--quiet", "--allow-empty", "--message=more")
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", "--depth=1", checkout.as_uri(), clone)
    assert built(clone) == built(checkout)


def test_sources_without_a_repository_have_the_declared_version(sources: Path) -> None:
    """Also inside of somebody else's repository."""
    assert built(sources) == "0.2.0"

    inner = sources / "vendor"
    shutil.copytree(sources / "packaging", inner / "packaging")
    shutil.copytree(sources / "daemon", inner / "daemon")
    git(sources, "init", "--quiet")
    git(sources, "add", ".")
    git(sources, "commit", "--quiet", "--message=all")
    assert built(inner) == "0.2.0"


def test_without_git_it_is_the_declared_version(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert built(checkout) == "0.2.0"


IN_ORDER = (
    "0.1.0",
    "0.1.0+git20261101120000.gffffffffffff",
    "0.2.0.dev20261201120000+gffffffffffff",
    "0.2.0.dev20261201120001+g0123456789ab",
    "0.2.0",
    "0.2.0+git20261202120000.gffffffffffff",
    "0.2.0+git20261202120001.g0123456789ab.dirty",
    "0.2.1",
)


def test_pip_sorts_builds_between_the_releases() -> None:
    assert sorted(IN_ORDER, key=Version) == list(IN_ORDER)
    assert [str(Version(version)) for version in IN_ORDER] == list(IN_ORDER)


def test_dpkg_sorts_builds_between_the_releases() -> None:
    dpkg = needs.program("dpkg")
    packaged = [f"{called(ROOT, f'debian({version!r})')}+deb13" for version in IN_ORDER]

    for former, later in itertools.pairwise(packaged):
        run(dpkg, "--compare-versions", former, "lt", later)
    assert packaged[4] == "0.2.0+deb13"


def test_a_wheel_says_the_version_of_its_name_and_so_does_one_of_its_sdist(checkout: Path, tmp_path: Path) -> None:
    """The sdist has no repository: its sources say the version."""
    version = built(checkout)
    made = build(checkout, "wheel", tmp_path / "of-checkout")
    unpacked = tmp_path / "unpacked"
    shutil.unpack_archive(build(checkout, "sdist", tmp_path / "sdist"), unpacked)
    again = build(unpacked / f"pointsman-{version}", "wheel", tmp_path / "of-sdist")

    assert made.name == again.name == f"pointsman-{version}-py3-none-any.whl"
    assert made.read_bytes() == again.read_bytes()
    with zipfile.ZipFile(made) as archive:
        assert archive.namelist().count("pointsman/__init__.py") == 1
        assert f'\n__version__ = "{version}"\n' in archive.read("pointsman/__init__.py").decode()


def test_an_editable_installation_has_the_module_of_the_checkout(checkout: Path, tmp_path: Path) -> None:
    """One in the wheel would hide it."""
    code = f"import hatchling.build as backend; print(backend.build_editable({str(tmp_path)!r}))"
    name = run(sys.executable, "-c", code, folder=checkout).splitlines()[-1]
    with zipfile.ZipFile(tmp_path / name) as archive:
        assert [file for file in archive.namelist() if file.endswith(".py")] == []


def build(folder: Path, target: str, out: Path) -> Path:
    run(sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", out, folder=folder)
    (made,) = out.iterdir()
    return made
