"""Random clients, random upstreams: every request has one outcome, and every answer is its own client's."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from chaos import selftest
from chaos.run import run


@pytest.mark.parametrize("seconds", [10.0, pytest.param(60.0, marks=pytest.mark.nightly)])
async def test_nothing_is_lost_in_chaos(tmp_path: Path, seconds: float) -> None:
    """A new seed each time: the shapes of chaos are many more than one run has. A failure names its seed."""
    seed = int(time.time())
    found = await run(tmp_path, seconds, seed)
    assert found["requests"] > seconds, found
    assert not found["faults"], f"seed {seed}: {found}"


async def test_the_verdict_names_each_fault_on_the_wire_and_no_other(tmp_path: Path) -> None:
    """Swapped prompts, bodies and headers, another adapter, duplicates and the like, between daemon and neighbours."""
    seed = int(time.time())
    found = await selftest.run(tmp_path, 60.0, seed, each=5)
    assert not found["missed"], f"seed {seed}: {found}"
    assert not found["false_alarms"], f"seed {seed}: {found}"
