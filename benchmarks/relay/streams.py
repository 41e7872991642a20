"""Measure the cost of stream chunks for each proxy, by number of streams, and the delay that it adds."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from programs import started

from relay import cpu
from relay.proxies import QUIET, Proxy, in_order, names, start
from relay.requests import DIRECT
from relay.workplace import RelayFolder

STREAMS = (64, 1000)
CHUNKS = 200
MIN_CHUNKS = 50
INTERVAL_MS = 20.0
ROUNDS = 4
REST_SECONDS = 0.2
SAMPLE_SECONDS = 0.1


def measure(work: RelayFolder, share: float) -> dict[str, Any]:
    """Return `cells`: windows by streams and way, in the order of the rounds; `missing`: reasons; `at_rest_mib`."""
    chunks = max(MIN_CHUNKS, round(CHUNKS * share))
    cells: dict[str, Any] = {}
    unable: dict[str, int] = {}
    compared = [name for name in names(work) if name != QUIET]
    with _Load.started(work) as load, start(work, compared, load.port) as (proxies, missing):
        at_rest: dict[str, dict[str, int]] = {}
        for name, one in list(proxies.items()):
            try:
                at_rest[name] = _warm_up(load, one)
            except OSError as error:
                missing[name] = f"it answered no request: {error}"
                del proxies[name]
        ways: dict[str, Proxy | None] = {DIRECT: None, **proxies}
        for turn in range(max(1, round(ROUNDS * share))):
            for streams in STREAMS:
                for name, proxy in in_order(ways, turn):
                    if streams >= unable.get(name, streams + 1):
                        continue  # it failed with fewer streams, and would only take time
                    resident_kib = at_rest[name]["resident_kib"] if proxy is not None else 0
                    try:
                        window = _window(load, proxy, streams, chunks, resident_kib)
                    except OSError as error:
                        missing[name] = f"it answered no request before {streams} streams: {error}"
                        unable[name] = 0
                        continue
                    if window["whole"] < streams:
                        unable[name] = streams
                    cells.setdefault(str(streams), {}).setdefault(name, []).append(window)
                    print(streams, name, window, flush=True)
    return {
        "cells": cells,
        "missing": missing,
        "at_rest_mib": {name: round(found["proportional_kib"] / 1024, 1) for name, found in at_rest.items()},
        "chunks": chunks,
        "interval_ms": INTERVAL_MS,
    }


class _Load:
    """The process of `relay.stream_load`; `port` is its upstream port."""

    def __init__(self, process: Any) -> None:
        self._process = process
        self.port = int(process.stdout.readline())

    @classmethod
    @contextlib.contextmanager
    def started(cls, work: RelayFolder) -> Iterator[_Load]:
        command = work.pinned(work.load_core, [sys.executable, "-m", "relay.stream_load"])
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with started(work.part("logs") / "stream-load.log", command, **pipes) as process:
            yield cls(process)

    def run(self, port: int, streams: int, chunks: int, watched: list[int]) -> tuple[dict[str, Any], int]:
        """Run one window; return its result, and the peak resident KiB of the `watched` processes."""
        limit = 4 * chunks * INTERVAL_MS / 1000 + 2
        asked = {"port": port, "streams": streams, "chunks": chunks, "interval_ms": INTERVAL_MS, "limit_s": limit}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        most = 0
        while not select.select([self._process.stdout], [], [], SAMPLE_SECONDS)[0]:
            most = max(most, cpu.resident_kib(watched))
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found, most


def _warm_up(load: _Load, proxy: Proxy) -> dict[str, int]:
    """Return the proxy's memory after a few streams."""
    with proxy.alone():
        load.run(proxy.port, STREAMS[0], 10, [])
        tree = proxy.tree()
        return {"resident_kib": cpu.resident_kib(tree), "proportional_kib": cpu.proportional_kib(tree)}


def _window(load: _Load, proxy: Proxy | None, streams: int, chunks: int, resident_kib: int) -> dict[str, Any]:
    with proxy.alone() if proxy is not None else contextlib.nullcontext():
        tree = [] if proxy is None else proxy.tree()
        before, kernel, machine, began = cpu.spent(tree), cpu.in_kernel(tree), cpu.machine(), time.perf_counter()
        found, most = load.run(load.port if proxy is None else proxy.port, streams, chunks, tree)
        time.sleep(REST_SECONDS)  # includes the proxy's work after clients have disconnected
        used, system = cpu.since(before, cpu.spent(tree)), cpu.since(kernel, cpu.in_kernel(tree))
        busy = cpu.machine() - machine - used - found["load_busy"] * found["seconds"]
        seconds = time.perf_counter() - began
    return found | {
        "cpu_us": round(used / max(1, found["chunks"]) * 1e6, 2),
        "system_us": round(system / max(1, found["chunks"]) * 1e6, 2),
        "proxy_busy": round(used / found["seconds"], 3),
        "others_busy": round(max(0.0, busy) / seconds, 2),
        "growth_kib": round((most - resident_kib) / streams, 1),
    }
