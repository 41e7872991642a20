"""What `make` runs: which wheels it removes first, and what it does with a measurement that fails."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import needs

ROOT = Path(__file__).parents[2]


@pytest.fixture
def make() -> str:
    return shutil.which("make") or needs.excused("no make")


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        (["install"], "onnxruntime-gpu"),
        (["install", "EXTRA=gpu"], "onnxruntime"),
        (["install", "EXTRA=otel,gpu"], "onnxruntime"),
        (["install", "EXTRA=export-gpu"], "onnxruntime"),
        (["bench-gpu", "ARTIFACT=x"], "onnxruntime"),
        ([".venv-test/installed", "TEST_EXTRAS=export,otel"], "onnxruntime-gpu"),
        ([".venv-test/installed", "TEST_EXTRAS=export-gpu,otel"], "onnxruntime"),
    ],
)
def test_both_wheels_of_onnx_runtime_go_where_the_other_one_is_installed(
    make: str, asked: list[str], other: str
) -> None:
    """They have the same files."""
    said = subprocess.run([make, "-nB", *asked], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    *_, command = re.findall(r"! \S*pip show .*", said.replace("\\\n\t", ""))
    pip = command.split()[1]
    both = f"{pip} uninstall --quiet --yes onnxruntime onnxruntime-gpu"
    assert command == f"! {pip} show --quiet {other} 2>/dev/null || {both}"
    assert said.index("pip show") < said.rindex(f"{pip} install")


def test_a_real_vllm_is_started_by_python_alone() -> None:
    """`make run-vllm` installs what Pointsman needs, which has no package that tests are made of."""
    command = [sys.executable, "-S", "-c", "import support.run_vllm"]
    subprocess.run(command, env={"PYTHONPATH": str(ROOT / "tests")}, check=True)


def test_bounds_that_do_not_hold_are_no_result(make: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the commit is that of the files as they are before the result is written."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    result = tmp_path / "benchmarks" / "results" / "export-bounds.md"
    result.parent.mkdir(parents=True)
    result.write_text("former")
    git, matrix = tmp_path / "bin" / "git", tmp_path / ".ci" / "matrix"
    for program, script in ((git, f"cat {result}"), (matrix, 'echo row; exit "$FAULTS"')):
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{git.parent}:/usr/bin:/bin")

    def run(faults: int) -> int:
        monkeypatch.setenv("FAULTS", str(faults))
        command = [make, "--old-file=wheel", "export-bounds"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode

    assert run(1) != 0
    assert result.read_text() == "former"
    assert run(0) == 0
    assert result.read_text().endswith("commit former.\n\n```\nrow\n```\n")
