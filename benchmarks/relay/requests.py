"""Measure the cost of whole requests for each proxy, by size and number of clients, with wrk.

The proxy has a core of its own; wrk and the nginx upstream share another. Within a window requests are sent as fast as
responses arrive.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from contextlib import ExitStack
from typing import Any

from programs import running

from relay import cpu, exchange
from relay.proxies import BEFORE, POINTSMAN, Proxy, exchange_once, in_order, names, nginx_upstream, start
from relay.workplace import RelayFolder
from support.process import reserve_port

SIZES = {"1 KiB": exchange.KIB, "64 KiB": 64 * exchange.KIB}
CONCURRENCY = (1, 16, 64)
ROUNDS = 4
WINDOW_SECONDS = 2
DIRECT = "direct"
HIT = f"{POINTSMAN}, cache hit"
MISS = f"{POINTSMAN}, cache miss"
BEFORE_HIT = f"{BEFORE}, cache hit"
NEW = "new"
"""Replaces a model: the automatic one, for a question that was never asked before."""
_MICROSECONDS = {"us": 1.0, "ms": 1e3, "s": 1e6}


def measure(work: RelayFolder, share: float) -> dict[str, Any]:
    """Return `cells`: windows by size, clients and way, in the order of the rounds; `missing`: the reason by proxy.

    `question` is what the automatic requests ask.
    """
    cells: dict[str, Any] = {}
    port = reserve_port()
    kinds = (exchange.MODEL, exchange.AUTO, NEW)
    scripts = {(size, kind): _script(work, size, kind) for size in SIZES for kind in kinds}
    with ExitStack() as stack:
        command = work.pinned(work.load_core, nginx_upstream(work, port))
        log = work.part("logs") / "upstream.log"
        upstream = stack.enter_context(running(log, command, lambda: _answers(port), 10.0))
        proxies, missing = stack.enter_context(start(work, names(work), port))
        ways: dict[str, tuple[Proxy | None, str]] = {DIRECT: (None, exchange.MODEL)}
        ways |= {name: (proxy, exchange.MODEL) for name, proxy in proxies.items()}
        classified = ((HIT, POINTSMAN, exchange.AUTO), (BEFORE_HIT, BEFORE, exchange.AUTO), (MISS, POINTSMAN, NEW))
        ways |= {way: (proxies[name], kind) for way, name, kind in classified if name in proxies}
        for turn in range(max(1, round(ROUNDS * share))):
            for size in SIZES:
                for concurrency in CONCURRENCY:
                    for name, (proxy, model) in in_order(ways, turn):
                        if name == MISS and concurrency > 1:
                            continue  # the classifier could not keep up, and most would get the fallback
                        window = _window(work, proxy, port, upstream.pid, concurrency, scripts[size, model])
                        cells.setdefault(size, {}).setdefault(str(concurrency), {}).setdefault(name, []).append(window)
                        print(size, concurrency, name, window, flush=True)
    return {"cells": cells, "missing": missing, "question": exchange.QUESTION}


def _window(
    work: RelayFolder, proxy: Proxy | None, port: int, upstream: int, concurrency: int, script: str
) -> dict[str, float]:
    with ExitStack() as stack:
        if proxy is not None:
            stack.enter_context(proxy.alone())
            port = proxy.port
        trees = [] if proxy is None else proxy.tree(), cpu.tree(upstream)
        before = [*map(cpu.spent, trees)], cpu.of_children(), cpu.machine(), time.perf_counter()
        said = _wrk(work, port, concurrency, script)
        seconds = time.perf_counter() - before[3]
        trees = trees if proxy is None else (proxy.tree(), trees[1])
        used, answered = (cpu.since(was, cpu.spent(tree)) for was, tree in zip(before[0], trees, strict=True))
        asked = cpu.of_children() - before[1]
        others = cpu.machine() - before[2] - used - answered - asked
    found = parse(said)
    return {
        **found,
        "cpu_us": round(used / max(1.0, found["requests"]) * 1e6, 2),
        "proxy_busy": round(used / seconds, 3),
        "load_busy": round((asked + answered) / seconds, 3),
        "others_busy": round(max(0.0, others) / seconds, 2),
    }


def parse(said: str) -> dict[str, float]:
    """Parse wrk's output: requests, requests per second, latency, and failed requests."""

    def number(pattern: str) -> float:
        found = re.search(pattern, said)
        return float(found[1]) if found else 0.0

    def latency(share: int) -> float:
        found = re.search(rf"\s{share}%\s+([\d.]+)(us|ms|s)\b", said)
        return float(found[1]) * _MICROSECONDS[found[2]] if found else 0.0

    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    return {
        "requests": number(r"(\d+) requests in"),
        "per_second": number(r"Requests/sec:\s+([\d.]+)"),
        "p50_us": latency(50),
        "p99_us": latency(99),
        "failed": number(r"Non-2xx or 3xx responses: (\d+)") + (sum(map(int, sockets.groups())) if sockets else 0),
    }


def _wrk(work: RelayFolder, port: int, concurrency: int, script: str) -> str:
    program = str(work.peer("wrk", "usr/bin/wrk"))
    libraries = work.peer("wrk", "usr/lib")
    options = ["--threads", "1", "--connections", str(concurrency), "--duration", f"{WINDOW_SECONDS}s", "--latency"]
    command = [program, *options, "--script", script, f"http://127.0.0.1:{port}{exchange.PATH}"]
    path = os.pathsep.join([str(libraries), *map(str, libraries.glob("*-linux-*"))])
    done = subprocess.run(
        work.pinned(work.load_core, command),
        env=os.environ | {"LD_LIBRARY_PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _script(work: RelayFolder, size: str, kind: str) -> str:
    """Write wrk's script for requests for a model, or for NEW ones."""
    script = new_each_time(SIZES[size]) if kind == NEW else in_turn(exchange.requests(SIZES[size], kind))
    file = work.part("configs") / f"{size.replace(' ', '-')}-{kind}.lua"
    headers = [f'wrk.headers["{name}"] = "{value}"' for name, value in exchange.HEADERS.items()]
    file.write_text("\n".join(['wrk.method = "POST"', *headers, script]))
    return str(file)


def in_turn(bodies: list[bytes]) -> str:
    """Return a script that sends these bodies in turn; it formats their requests before the window begins."""
    table = ",\n".join(f"[==[{body.decode()}]==]" for body in bodies)
    return f"""\
local bodies = {{ {table} }}
local requests, sent = {{}}, 0
function init()
  for place, body in ipairs(bodies) do requests[place] = wrk.format(nil, nil, nil, body) end
end
function request()
  sent = sent + 1
  return requests[sent % #requests + 1]
end
"""


def new_each_time(size: int) -> str:
    """Return a script whose requests have numbers, which continue from window to window with the time."""
    before, after = (part.decode() for part in exchange.new_requests(size))
    return f"""\
local before, after = [==[{before}]==], [==[{after}]==]
local number = os.time() * 1000000
function request()
  number = number + 1
  return wrk.format(nil, nil, nil, before .. string.format("%0{exchange.NUMBER_DIGITS}.0f", number) .. after)
end
"""


def _answers(port: int) -> bool:
    try:
        exchange_once(port)
    except OSError:
        return False
    return True
