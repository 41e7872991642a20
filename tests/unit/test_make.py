"""What `make` runs: which wheels it removes first."""

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
