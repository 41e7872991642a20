"""Measure the start-up time and memory of `pointsman serve`.

Starts the service repeatedly with the shipped config and the built-in classifier, polls `/ready`, sends requests of
mixed lengths to `/v1/route`, and reads the memory before and after. Writes benchmarks/results/startup.json.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from provenance import provenance

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "startup.json"
RUNS = 15
TEXTS = [f"Question {n}: " + "how does the compiler allocate registers? " * (1 + n % 40) for n in range(400)]


def main() -> None:
    runs = [measure() for _ in range(RUNS)]
    result = provenance() | {
        "runs": runs,
        "median": {key: statistics.median(run[key] for run in runs) for key in runs[0]},
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["median"], indent=2))


def measure() -> dict[str, float]:
    """Start twice; return seconds to ready and memory (Rss, Pss) in MiB when ready and after the requests.

    The first start measures the cost curve of the classifier; the second finds it in the state directory.
    """
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        config = Path(folder) / "config.yaml"
        listen = f'\npointsman:\n  server:\n    listen: ["127.0.0.1:{port}"]\n    admin_listen: "unix:{folder}/admin"\n'
        config.write_text((ROOT / "config" / "config.yaml").read_text() + listen)
        with serving(config, Path(folder), port) as (_, first_seconds):
            pass
        with serving(config, Path(folder), port) as (pid, seconds):
            ready = memory(pid)
            for text in TEXTS:
                post(port, "/v1/route", {"messages": [{"role": "user", "content": text}]})
            used = memory(pid)
    return {
        "first_ready_s": round(first_seconds, 3),
        "ready_s": round(seconds, 3),
        "ready_rss_mib": ready["Rss"],
        "ready_pss_mib": ready["Pss"],
        "used_rss_mib": used["Rss"],
        "used_pss_mib": used["Pss"],
    }


@contextlib.contextmanager
def serving(config: Path, state: Path, port: int) -> Iterator[tuple[int, float]]:
    """Yield the process id and the seconds until it was ready."""
    command = [sys.executable, "-m", "pointsman", "serve", "--config", str(config)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ | {"STATE_DIRECTORY": str(state)})
    try:
        wait_until_ready(port)
        yield process.pid, time.perf_counter() - started
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def wait_until_ready(port: int, timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=1):
            return
        time.sleep(0.005)
    raise TimeoutError(f"not ready within {timeout} s")


def post(port: int, path: str, body: Any) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=10) as response:
        response.read()


def memory(pid: int) -> dict[str, float]:
    """Return Rss and Pss in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kib = {name: int(value.split()[0]) for name, value in (line.split(":") for line in lines)}
    return {name: round(kib[name] / 1024, 1) for name in ("Rss", "Pss")}


if __name__ == "__main__":
    main()
