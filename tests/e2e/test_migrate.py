"""A configuration of vLLM Semantic Router, migrated by the command and served."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from support.command import run_here

GUIDE = Path(__file__).parents[1] / "unit" / "data" / "guide.yaml"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pointsman", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_guides_file_is_migrated_checked_and_routed_by(tmp_path: Path) -> None:
    """`serve` refuses the file as it is; its migration reaches the adapter of the guide's question."""
    result = tmp_path / "pointsman.yaml"

    assert run("serve", "--config", GUIDE).returncode == 3
    migrated = run("migrate", GUIDE, "-o", result)
    assert (migrated.returncode, migrated.stdout) == (0, "")
    assert "model_id: " in migrated.stderr
    assert run_here("check", result).returncode == 0
    tree = yaml.safe_load(result.read_text())
    tree.setdefault("pointsman", {}).setdefault("classifier", {})["deadline_ms"] = 20_000  # for a busy host
    result.write_text(yaml.safe_dump(tree))
    explained = run_here("explain", "What causes high blood pressure?", "--config", result)
    assert "medical-lora" in explained.stdout


def test_the_result_goes_to_standard_output_and_the_report_does_not(tmp_path: Path) -> None:
    done = run("migrate", GUIDE)
    result = tmp_path / "pointsman.yaml"
    result.write_text(done.stdout, "utf-8")

    assert run_here("check", result).returncode == 0
    assert done.stderr.splitlines()[-1].startswith("8 carried, ")


def test_a_result_that_cannot_be_written_whole_leaves_nothing(tmp_path: Path) -> None:
    """A file size limit stands for a full disk."""
    command = f"ulimit -f 0; exec {sys.executable} -m pointsman migrate {GUIDE} -o {tmp_path}/new.yaml"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 3
    assert "cannot be written" in done.stderr
    assert list(tmp_path.iterdir()) == []
