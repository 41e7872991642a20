"""Random clients, random upstreams: every request has one outcome, and it is the one that its client saw."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from chaos.run import run


@pytest.mark.parametrize("seconds", [10.0, pytest.param(60.0, marks=pytest.mark.long)])
async def test_nothing_is_lost_in_chaos(tmp_path: Path, seconds: float) -> None:
    """A new seed each time: the shapes of chaos are many more than one run has. A failure names its seed."""
    seed = int(time.time())
    found = await run(tmp_path, seconds, seed)
    assert found["requests"] > seconds, found
    assert not found["faults"], f"seed {seed}: {found}"
