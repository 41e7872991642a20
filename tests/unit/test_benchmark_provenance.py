"""A result says on which CPU it was measured: its name alone does not."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from provenance import commit, commit_of, cpu, processor, provenance

from support import needs

GENOA = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
stepping\t: 1
flags\t\t: fpu avx2 fma avx512f avx512_bf16 avx512_vnni

processor\t: 1
cpu family\t: 99
"""
GRAVITON = "processor\t: 0\nBogoMIPS\t: 2100\nFeatures\t: fp asimd asimddp i8mm bf16\n"


def test_two_generations_of_one_name_are_told_apart() -> None:
    found = cpu(GENOA)

    assert found == {
        "cpu": "AMD EPYC",
        "family": "25",
        "model": "17",
        "stepping": "1",
        "flags": ["avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16"],
    }
    assert processor({**found, "cores": 2}) == "2 cores of AMD EPYC (family 25, model 17, stepping 1)"


def test_a_cpu_that_tells_only_its_features_has_the_name_of_its_architecture() -> None:
    assert cpu(GRAVITON)["flags"] == ["asimddp", "i8mm"]
    assert cpu(GRAVITON).keys() == {"cpu", "flags"}


def test_a_quota_is_told_and_no_quota_is_not() -> None:
    machine: dict[str, Any] = {"cores": 8, "cpu": "x"}

    assert processor(machine | {"cpu_max": "200000 100000"}) == "8 cores of x, cpu.max 200000 100000"
    assert processor(machine | {"cpu_max": "max 100000"}) == processor(machine) == "8 cores of x"


def test_a_host_without_git_measures_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    assert provenance()["commit"] == ""


def git(folder: Path, *arguments: str) -> str:
    own = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    return subprocess.run(["git", *own, "-C", folder, *arguments], check=True, capture_output=True, text=True).stdout


def test_a_change_of_what_is_measured_marks_the_commit_and_one_of_a_result_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.which("git") or needs.excused("no git")
    for name in ("code", "benchmarks/results/one.json", "docs/benchmarks.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=all")
    head = git(tmp_path, "rev-parse", "--short", "HEAD").strip()

    (tmp_path / "benchmarks/results/one.json").write_text("{}")
    (tmp_path / "docs/benchmarks.md").write_text("rendered")
    assert commit(tmp_path) == head

    (tmp_path / "code").write_text("changed")
    assert commit(tmp_path) == f"{head}-dirty"
    assert "-dirty" in capsys.readouterr().err


def test_an_installation_has_the_commit_of_the_checkout_that_it_runs_from(tmp_path: Path) -> None:
    """A virtual environment inside of a checkout is none."""
    shutil.which("git") or needs.excused("no git")
    own, installed = (tmp_path / folder / "__init__.py" for folder in ("daemon/pointsman", ".venv/pointsman"))
    for file in (own, installed):
        file.parent.mkdir(parents=True)
        file.touch()
    assert commit_of(own) == ""
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "daemon")
    git(tmp_path, "commit", "--quiet", "--message=all")
    assert commit_of(own) == git(tmp_path, "rev-parse", "--short", "HEAD").strip()
    assert commit_of(installed) == ""


def test_a_result_has_the_machine_the_kernel_and_the_versions() -> None:
    head = provenance()

    assert head["machine"].keys() >= {"cpu", "flags", "cores", "usable_cores", "cpu_max", "memory_gib", "system"}
    assert {"numpy", "onnxruntime", "tokenizers"} <= head["versions"].keys()
