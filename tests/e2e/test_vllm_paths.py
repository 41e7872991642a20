"""Every path of the installed vLLM is in the table of docs/vllm-paths.md."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from support import vllm_paths_table

SCRIPT = Path(__file__).parents[1] / "support" / "vllm_paths.py"
LINE = re.compile(r"(GET|POST|PUT|PATCH|DELETE|WEBSOCKET) (/\S*)")


@pytest.mark.long
@pytest.mark.vllm
def test_every_path_of_vllm_is_in_the_table(vllm_venv: Path) -> None:
    done = subprocess.run([vllm_venv / "bin/python", SCRIPT], capture_output=True, text=True, check=True, timeout=300)
    found = {f"{method} {vllm_paths_table.plain(path)}" for method, path in LINE.findall(done.stdout)}
    assert {"POST /v1/chat/completions", "GET /version"} <= found
    assert sorted(found - vllm_paths_table.rows().keys()) == [], "say in docs/vllm-paths.md what clients get there"
