"""Random clients, random upstreams: every request has one outcome, and it is the one that its client saw."""

from __future__ import annotations

import time
from pathlib import Path

from chaos.run import run

SECONDS = 60.0


async def test_nothing_is_lost_in_chaos(tmp_path: Path) -> None:
    """A new seed each time: the shapes of chaos are many more than one run has. A failure names its seed."""
    seed = int(time.time())
    found = await run(tmp_path, SECONDS, seed)
    assert found["requests"] > SECONDS, found
    assert not found["faults"], f"seed {seed}: {found}"
