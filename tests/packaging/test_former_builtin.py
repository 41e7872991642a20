"""The built-in classifier of release 0.1, as an artifact that a config can still name."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import needs

ROOT = Path(__file__).parents[2]
PROGRAM = "packaging/former_builtin.py"
COMMIT = "02cd8f0"
NAME = "pointsman-builtin-0.1.0"

pytestmark = pytest.mark.heavy


def build(root: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / PROGRAM), str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tar, made from the history."""
    found = subprocess.run(["git", "-C", ROOT, "cat-file", "-e", f"{COMMIT}^{{commit}}"], check=False)
    if found.returncode:
        needs.excused(f"this checkout has no commit {COMMIT}, so the former built-in was NOT built from the history")
    out = tmp_path_factory.mktemp("former") / "dist"
    done = build(ROOT, out)
    assert done.returncode == 0, done.stderr
    return out / f"{NAME}.tar"


def test_it_is_the_file_whose_hash_the_docs_state(former: Path) -> None:
    documented = re.findall(rf"([0-9a-f]{{64}})  {NAME}\.tar", (ROOT / "docs/operations.md").read_text())

    assert documented == [hashlib.sha256(former.read_bytes()).hexdigest()]


def test_a_config_names_it_as_the_docs_say_and_it_classifies(former: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "-xf", former], cwd=tmp_path, check=True)
    config = (ROOT / "config/config.yaml").read_text().replace("model_id: builtin ", f"model_id: {NAME} ")
    (tmp_path / "config.yaml").write_text(config)
    command = [sys.executable, "-m", "pointsman", "explain", "--offline", "--config", "config.yaml"]

    done = subprocess.run(
        [*command, "What causes high blood pressure?"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert NAME in done.stdout
    assert "\nmodel      medical-lora" in done.stdout


def test_without_the_history_it_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "packaging").mkdir()
    shutil.copy(ROOT / PROGRAM, tmp_path / PROGRAM)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True, env=os.environ)

    done = build(tmp_path, tmp_path / "dist")

    assert done.returncode == 1
    assert done.stderr.startswith(f"the former built-in is in commit {COMMIT}, which this checkout lacks:\n")
    assert not (tmp_path / "dist").exists()
