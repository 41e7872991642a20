"""What a test does not find: a skip on a developer's machine, a failure in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.heavy

TESTS = Path(__file__).parents[1]
SKIPS = {
    "lacking": "from support import needs\ndef test(): needs.lacking('no engine')",
    "program": "from support import needs\ndef test(): needs.program('no-such-program', 'engine')",
    "call": "import pytest\ndef test(): pytest.skip('no engine')",
    "mark": "import pytest\n@pytest.mark.skipif(True, reason='no engine')\ndef test(): pass",
    "fixture": "import pytest\n@pytest.fixture\ndef it(): pytest.skip('no engine')\ndef test(it): pass",
    "module": "import pytest\npytest.importorskip('no_such_engine')\ndef test(): pass",
}
EXCUSED = "from support import needs\ndef test(): needs.excused('no data')\ndef test_more(): needs.excused('no data')"
XFAIL = "import pytest\n@pytest.mark.xfail\ndef test(): raise ValueError"


def summary(folder: Path, ci: str) -> list[str]:
    """The lines of the summary of a run of all of these, each in a file of its own, with our conftest."""
    for name, text in {**SKIPS, "excused": EXCUSED, "xfail": XFAIL}.items():
        (folder / f"test_{name}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-ra", "-c", os.devnull]
    env = os.environ | {"PYTHONPATH": str(TESTS), "CI": ci, "COLUMNS": "200"}
    options = ("--continue-on-collection-errors", "--tb=no", folder)
    done = subprocess.run([*command, *options], env=env, capture_output=True, text=True, check=False)
    return done.stdout.partition("short test summary")[2].splitlines()


def test_in_ci_each_skip_fails_and_says_what_is_missing_but_one_that_is_excused(tmp_path: Path) -> None:
    lines = summary(tmp_path, "true")

    for name in SKIPS:
        assert [line for line in lines if f"test_{name}.py" in line and line.startswith(("FAILED", "ERROR"))], name
    assert len([line for line in lines if "engine" in line]) == len(SKIPS)
    assert [line.partition(" ")[0] for line in lines if "no data" in line] == ["SKIPPED"]
    assert " 1 xfailed" in lines[-1]


def test_elsewhere_each_is_a_skip_and_equal_reasons_are_one_counted_line(tmp_path: Path) -> None:
    lines = summary(tmp_path, "")

    assert [line for line in lines if line.startswith(("FAILED", "ERROR"))] == []
    assert f"{len(SKIPS) + 2} skipped" in lines[-1]
    assert [line for line in lines if line.startswith("SKIPPED [2]") and line.endswith("no data")]
