"""Each result file says where it is from, and can be made again by one `make` target."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from provenance import provenance

from support import needs

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
HEAD = provenance()
OF_SOME_CPUS = {"family", "model", "stepping"}

FORMER = {
    "held-out-banking77": "901dec47ecc052d4aac16fc34f2bea322960fb78",
    "held-out-dolly-openqa": "f1e39e751eafa678ed3685149a38429a8fdf8521",
    "held-out-expertqa": "2282a0751eec74c692c1c582ce73024dc9cd9972",
    "held-out-so-titles": "901dec47ecc052d4aac16fc34f2bea322960fb78",
    "held-out": "abab312be2695681998da3801ed65bacf0410796-dirty",
}
"""Results from before provenance was complete, by the commit at which they were measured, until they are made again."""

TARGETS = set(re.findall(r"^([a-z][\w-]*):(?!=)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def faults(result: Any) -> list[str]:
    """Return what is missing in the head of a result."""
    missing = [key for key in HEAD if key not in result]
    machine = HEAD["machine"].keys() - OF_SOME_CPUS - result.get("machine", {}).keys()
    return [*missing, *machine, *(["a clean commit"] if result.get("commit", "").endswith("-dirty") else [])]


@pytest.mark.parametrize("file", sorted(RESULTS.rglob("*.json")))
def test_a_result_names_its_commit_machine_and_versions(file: Path) -> None:
    result = json.loads(file.read_text("utf-8"))

    if FORMER.get(file.stem) != result.get("commit", ""):
        assert faults(result) == [], f"commit, then run `make {writers(file.stem)[0]}` again"


def test_a_result_without_one_of_them_is_noticed() -> None:
    assert faults(HEAD | {"commit": "1234567"}) == []
    assert faults(HEAD | {"commit": "1234567-dirty"}) == ["a clean commit"]
    assert faults({key: HEAD[key] for key in HEAD if key != "versions"} | {"commit": ""}) == ["versions"]
    assert "cpu_max" in faults(HEAD | {"commit": "", "machine": {"cpu": "x"}})


@cache
def history() -> tuple[str, ...]:
    """Return all commits up to this one; none without git, or in a checkout that has not the whole history."""
    if not shutil.which("git") or _git("rev-parse", "--is-shallow-repository") != "false":
        return ()
    return tuple(_git("rev-list", "HEAD").split())


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def is_clean(commit: str) -> bool:
    """Return whether the history has a commit."""
    return any(known.startswith(commit) for known in history())


def commits(result: Any) -> list[str]:
    """Return those that a result was measured at, without its mark of changes."""
    named = (result.get(key, "") for key in ("commit", "before_commit"))
    return [commit.removesuffix("-dirty") for commit in named if commit]


def test_the_history_has_the_commit_of_each_result() -> None:
    """So that what was measured can be had again."""
    history() or needs.excused("no history of commits")
    found = {str(file): commits(json.loads(file.read_text("utf-8"))) for file in RESULTS.rglob("*.json")}
    gone = {(name, commit) for name, named in found.items() for commit in named if not is_clean(commit)}

    assert gone == set(), "measure again, at a commit that will not be rebased"


def writers(stem: str) -> list[str]:
    """Return the targets that write a result: `bench-NAME` or `NAME`, whose name the result's begins with."""
    names = {target: target.removeprefix("bench-") for target in TARGETS if f"bench-{target}" not in TARGETS}
    return [target for target, name in names.items() if re.match(rf"{name}(?![a-z0-9])", stem)]


@pytest.mark.parametrize("file", sorted(RESULTS.rglob("*.*")))
def test_a_result_is_written_by_one_target(file: Path) -> None:
    assert len(writers(file.stem)) == 1


@pytest.mark.parametrize("page", sorted(RESULTS.rglob("*.md")))
def test_a_table_names_the_target_that_writes_it(page: Path) -> None:
    (target,) = writers(page.stem)

    assert f"`make {target}" in " ".join(page.read_text("utf-8").split())


PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "benchmarks").rglob("*.md")),
    ROOT / "training" / "README.md",
]


@pytest.mark.parametrize("page", PAGES)
def test_each_target_that_the_docs_name_exists(page: Path) -> None:
    text = " ".join(page.read_text("utf-8").split())
    named = set(re.findall(r"(?:`|\$ )make (?:[A-Z]+=\S+ )*([a-z][\w-]*)", text))

    assert named - TARGETS == set()


@pytest.mark.parametrize("page", PAGES)
def test_the_history_has_each_commit_that_the_docs_name(page: Path) -> None:
    history() or needs.excused("no history of commits")
    named = re.findall(r"\bcommit ([0-9a-f]{7,40})\b", " ".join(page.read_text("utf-8").split()))

    assert [commit for commit in named if not is_clean(commit)] == []
