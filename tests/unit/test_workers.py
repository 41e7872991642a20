"""Tests that run at the same time: what shares a real vLLM stays together."""

from __future__ import annotations

import re
from pathlib import Path

from support.workers import SHARE_A_VLLM

TESTS = Path(__file__).parents[1]


def test_every_file_whose_tests_use_the_shared_vllm_is_among_those_that_stay_together() -> None:
    """On two workers it would be started twice."""
    texts = {file.name: file.read_text("utf-8") for file in (TESTS / "e2e").glob("test_*.py")}
    taken = re.compile(r'\bvllm: VllmServer[,)]|getfixturevalue\("vllm"\)')
    using = {name for name, text in texts.items() if taken.search(text)}

    assert using == SHARE_A_VLLM
