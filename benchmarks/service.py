"""Measure the exposure of the service's unit by `systemd-analyze security`, and a restart under load.

Clients open a new connection for each request, on a socket that stays open between the two processes, as
`pointsman.socket` keeps it. Writes benchmarks/results/service.json.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from provenance import provenance
from startup import RESULT

from support import units
from support.fake_vllm import run_fake_vllm
from support.restart import WHOLE, Restart, restart_under_load
from support.service import shipped_config

CLIENTS = 16
RESTARTS = 5
EACH = 50
"""Minimum requests of each client before and after the restart."""


def main() -> None:
    restarts = [asyncio.run(restart()) for _ in range(RESTARTS)]
    result = provenance() | {
        "exposure": exposure(),
        "clients": CLIENTS,
        "restarts": len(restarts),
        "requests": sum(sum(one.answers.values()) for one in restarts),
        "refused": sum(one.refused for one in restarts),
        "streams_cut_off": sum(one.staying != (200, WHOLE) for one in restarts),
        "longest_wait_s": round(statistics.median(one.longest_s for one in restarts), 2),
    }
    print(json.dumps(result, indent=2))
    RESULT.with_name("service.json").write_text(json.dumps(result, indent=2) + "\n")
    sys.exit(bool(result["refused"] or result["streams_cut_off"]))


async def restart() -> Restart:
    with tempfile.TemporaryDirectory() as folder:
        async with run_fake_vllm() as upstream:
            return await restart_under_load(shipped_config(upstream.port), upstream, Path(folder), CLIENTS, EACH)


def exposure() -> dict[str, Any]:
    """Return the exposure of the unit as shipped and with the GPU drop-in."""
    found = {}
    for form, drop_ins in (("cpu", ()), ("gpu", ("gpu.conf",))):
        with tempfile.TemporaryDirectory() as folder:
            found[form] = units.exposure(units.install(Path(folder), *drop_ins))
    return found


if __name__ == "__main__":
    main()
