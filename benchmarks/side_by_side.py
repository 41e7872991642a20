"""Time the event loop's work for one request by services with different configs, in turn and without sockets."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Mapping

from path import connected

from pointsman.app.generations import Generations
from pointsman.app.prepare import PreparedConfig
from pointsman.observability.log import Log
from pointsman.observability.log_line import LineEncoder
from pointsman.store.line_writer import LineWriter

ROUND_SECONDS = 0.02


async def in_turn(configs: Mapping[str, PreparedConfig], pieces: list[bytes], rounds: int) -> dict[str, list[float]]:
    """Return the microseconds of a request in each round, by config; raises RuntimeError if one is not answered."""
    null = os.open(os.devnull, os.O_WRONLY)
    writers = {name: LineWriter(null, "log", lambda _, __: b"") for name in configs}
    services = {
        name: Generations(config, Log("info", writers[name], LineEncoder(journal=False)))
        for name, config in configs.items()
    }
    gc.collect()
    gc.freeze()  # as the daemon does
    ends = {name: connected(service) for name, service in services.items()}
    found: dict[str, list[float]] = {name: [] for name in ends}
    try:
        for end in ends.values():
            await end.ask(pieces)
            if not end.client_line.written.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"not answered: {end.client_line.written!r}")
        async with asyncio.timeout(60):
            for service in services.values():
                while service.current.shadow is not None and service.current.shadow.state != "running":  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        first = next(iter(ends.values()))
        count = max(3, round(ROUND_SECONDS / await first.seconds(pieces, 3)))
        for _ in range(rounds):
            for name, end in ends.items():
                found[name].append(round(await end.seconds(pieces, count) * 1e6, 3))
    finally:
        for service in services.values():
            await service.close()
        for writer in writers.values():
            writer.close(1.0)
        os.close(null)
    return found
