"""Streams: what each chunk costs a proxy, by streams at once, and what the proxy adds to the time of each."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from programs import started
from relay import cpu
from relay.proxies import COMMANDS, QUIET, Proxy, start
from relay.requests import DIRECT
from relay.workplace import Workplace

STREAMS = (16, 64, 512)
CHUNKS = 200
INTERVAL_MS = 10.0
ROUNDS = 3
WARM_UP = {"streams": 16, "chunks": 10}
REST_S = 0.2
SAMPLE_S = 0.1


def measure(work: Workplace, share: float) -> dict[str, Any]:
    """`cells`: by streams and way, the windows in the order of the rounds; `missing`; `memory`: MiB at rest, by proxy."""
    chunks = max(20, round(CHUNKS * share))
    nominal = (chunks + 50) * INTERVAL_MS / 1000
    cells: dict[str, Any] = {}
    with ExitStack() as stack:
        command = work.pinned(work.load_core, [sys.executable, "-m", "relay.stream_load"])
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        load = stack.enter_context(started(work.part("logs") / "stream-load.log", command, **pipes))
        port = int(load.stdout.readline())
        names = [name for name in COMMANDS if name != QUIET]
        proxies, missing = stack.enter_context(start(work, names, port))

        def window(proxy: Proxy | None, sample: Callable[[], None], **what: Any) -> dict[str, Any]:
            target = port if proxy is None else proxy.port
            asked = {"port": target, "interval_ms": INTERVAL_MS, "limit_s": 4 * nominal + 2, **what}
            load.stdin.write(json.dumps(asked) + "\n")
            load.stdin.flush()
            while not select.select([load.stdout], [], [], SAMPLE_S)[0]:
                sample()
            found: dict[str, Any] = json.loads(load.stdout.readline())
            return found

        memory = {}
        for name, proxy in proxies.items():
            with proxy.alone():
                window(proxy, lambda: None, **WARM_UP)
                memory[name] = round(cpu.proportional_kib(proxy.tree()) / 1024, 1)
        resting = {name: cpu.resident_kib(proxy.tree()) for name, proxy in proxies.items()}
        unable: dict[str, int] = {}
        for _ in range(max(1, round(ROUNDS * share))):
            for streams in STREAMS:
                for name, proxy in ({DIRECT: None} | proxies).items():
                    if streams >= unable.get(name, streams + 1):
                        continue  # it has shown that it cannot, and would take its time
                    with ExitStack() as alone:
                        tree: list[int] = []
                        if proxy is not None:
                            alone.enter_context(proxy.alone())
                            tree = proxy.tree()
                        most = [0]
                        before, machine, began = cpu.spent(tree), cpu.machine(), time.perf_counter()

                        def sample(tree: list[int] = tree, most: list[int] = most) -> None:
                            most[0] = max(most[0], cpu.resident_kib(tree))

                        found = window(proxy, sample, streams=streams, chunks=chunks)
                        time.sleep(REST_S)  # what the proxy does once a client has gone is its cost too
                        seconds = time.perf_counter() - began
                        used = cpu.since(before, cpu.spent(tree))
                        busy = cpu.machine() - machine - used - found["load_busy"] * found["seconds"]
                    found |= {
                        "cpu_us": round(used / max(1, found["chunks"]) * 1e6, 2),
                        "proxy_busy": round(used / found["seconds"], 3),
                        "others_busy": round(max(0.0, busy) / seconds, 2),
                        "growth_kib": round((most[0] - resting.get(name, 0)) / streams, 1),
                    }
                    if found["whole"] < streams:
                        unable[name] = min(streams, unable.get(name, streams))
                    cells.setdefault(str(streams), {}).setdefault(name, []).append(found)
                    print(streams, name, found, flush=True)
    return {"cells": cells, "missing": missing, "memory": memory, "chunks": chunks, "interval_ms": INTERVAL_MS}
