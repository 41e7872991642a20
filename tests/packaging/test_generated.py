"""What the packages have beside the code: the locked wheels, the man page, the completions, the licences."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import needs

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "packaging"
SOURCES = os.environ | {"PYTHONPATH": f"{ROOT / 'daemon'}:{ROOT / 'export'}:{SCRIPTS}"}


def script(name: str, *arguments: str) -> str:
    command = [sys.executable, str(SCRIPTS / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=SOURCES).stdout


def pointsman(*arguments: str) -> str:
    command = [sys.executable, "-m", "pointsman", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=SOURCES).stdout


@functools.cache
def commands() -> dict[str, set[str]]:
    """The options of each command, as `--help` prints them."""
    listing = pointsman("--help").partition("commands:")[2]
    names = re.findall(r"^    (\w+)", listing, re.MULTILINE)
    return {name: set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", options_of(name))) for name in names}


def options_of(command: str) -> str:
    """The left column of the options of a command's help."""
    section = pointsman(command, "--help").partition("\noptions:\n")[2]
    return "\n".join(re.findall(r"^  (-.*?)(?:  |$)", section, re.MULTILINE))


def complete(completions: str, *words: str) -> set[str]:
    """What bash offers for the last word."""
    program = f'{completions}\nCOMP_WORDS=("$@") COMP_CWORD=$(($# - 1))\n_pointsman "$1" "${{@: -1}}" "${{@: -2:1}}"\n'
    command = ["bash", "-c", program + 'printf "%s\\n" "${COMPREPLY[@]}"', "bash", "pointsman", *words]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_bash_completes_each_command_and_option_that_help_tells() -> None:
    completions = script("completion.py", "bash")

    assert complete(completions, "") == set(commands())
    assert {name: complete(completions, name, "-") for name in commands()} == commands()


def test_bash_completes_the_values_that_an_option_may_have() -> None:
    completions = script("completion.py", "bash")

    assert complete(completions, "serve", "--log-level", "") == {"debug", "info", "warning", "error"}
    assert complete(completions, "adapters", "") == {"list", "load", "unload"}
    assert complete(completions, "serve", "--config", "") == set()


def test_zsh_is_told_each_command_and_option_that_help_tells(tmp_path: Path) -> None:
    completions = tmp_path / "_pointsman"
    completions.write_text(script("completion.py", "zsh"))

    for name, options in commands().items():
        section = completions.read_text().partition(f"    {name})\n")[2].partition(";;")[0]
        assert set(re.findall(r"'(--?[a-z-]+)\[", section)) == options
    subprocess.run([needs.program("zsh"), "-n", completions], check=True)


def test_the_man_page_has_each_command_and_option_that_help_tells(tmp_path: Path) -> None:
    page = tmp_path / "pointsman.1"
    page.write_text(script("man.py", "1.2.3"))
    assert '"Pointsman 1.2.3"' in page.read_text()
    for name, options in commands().items():
        section = page.read_text().partition(f".SS {name}\n")[2].partition(".S")[0].replace("\\-", "-")
        assert set(re.findall(r"\\fB(--?[a-z-]+)\\fR", section)) == options

    done = subprocess.run(
        [needs.program("man", "man-db"), "--warnings", "-l", page], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


def lines(python: str) -> list[str]:
    code = f"import lock; print(*lock.entries(lock.LOCK.read_text(), {python!r}), sep='')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=SOURCES)
    return [line for line in done.stdout.splitlines() if line[:1].isalpha()]


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_each_python_gets_one_version_of_each_package_and_nothing_for_windows(python: str) -> None:
    names = [line.partition("==")[0] for line in lines(python)]

    assert {"numpy", "onnxruntime", "aiohttp"} <= set(names)
    assert len(names) == len(set(names))
    assert "colorama" not in names


def test_no_marker_is_left_for_pip_to_judge_by_its_own_python() -> None:
    assert [line for line in lines("3.14") if ";" in line] == []


def test_a_package_without_a_licence_is_not_shipped(tmp_path: Path) -> None:
    metadata = tmp_path / "nameless-1.0.dist-info/METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: nameless\nVersion: 1.0\n")
    command = [sys.executable, str(SCRIPTS / "notice.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=SOURCES)

    assert done.returncode == 1
    assert done.stderr == "nameless 1.0 does not say under which licence it is: do not ship it\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with the release script and the version."""
    for name in ("packaging/release.sh", "daemon/pointsman/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / name, tmp_path / name)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "--message=all")
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", folder, *arguments], check=True)


def refusal(checkout: Path) -> str:
    command = [checkout / "packaging/release.sh"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHON": "false"})
    assert done.returncode == 1
    assert not (checkout / "dist").exists()
    return done.stderr


def test_a_changed_checkout_is_not_released(checkout: Path) -> None:
    (checkout / "new").touch()

    assert refusal(checkout) == "no release: the checkout has changes: commit or remove what git status shows\n"


@pytest.mark.parametrize("tag", [None, "v0.0.9"])
def test_without_the_tag_of_its_version_nothing_is_released(checkout: Path, tag: str | None) -> None:
    if tag:
        git(checkout, "tag", tag)

    assert refusal(checkout).startswith("no release: HEAD has no tag v")


def test_the_container_runs_as_no_root_and_installs_the_wheelhouse_by_its_hashes() -> None:
    lines = (ROOT / "Containerfile").read_text().replace("\\\n", "").splitlines()
    steps = [line.partition(" ")[::2] for line in lines if re.match(r"[A-Z]+ ", line)]

    assert [what for step, what in steps if step == "USER"] == ["65532:65532"]
    assert any("--no-index" in what and "--require-hashes" in what for step, what in steps if step == "RUN")
    assert any("/health" in what for step, what in steps if step == "HEALTHCHECK")
