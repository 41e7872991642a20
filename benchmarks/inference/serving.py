"""Classification over HTTP: the daemon beside its peers, all up together and taking turns.

Closed loops compare throughput; what is asked is the same for all, texts without repetition, the daemon's cache off.
Then Poisson arrivals at shares of the daemon's own throughput show the latency over the load, for it and the best peer.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

from inference.ceiling import prompts_per_second, stored_curve
from inference.load import closed_loop, open_loop, quantile, rotated
from inference.prompts import count_tokens, make_prompts
from inference.servers import NO_DEADLINE_MS, PEERS, Server, peer, pointsman, queue_and_pad
from inference.workplace import Workplace

OURS, TENSOR, BUILT_IN, PADDED = "ours int8", "ours int8 per tensor", "built-in", "queue-and-pad int8"
OUR_MODELS = {OURS: "int8-token", TENSOR: "int8-tensor"}
WINDOW_S = {"short": 3.0, "mix": 5.0}
CONCURRENCY = (1, 8, 32)
ROUNDS = 3
PROMPTS = 1024
CELL_S, CLOSED_S, WHOLE_S = 20.0, 470.0, 620.0
"""A server that spent this on a cell has shown what it can: one that pads takes 30 s for a window of 5. And where all
closed loops, and then all loads, would take longer, the last ones are left out."""
LOADS = (0.2, 0.4, 0.6, 0.8, 0.9)
OPEN_S = 6.0

Cells = dict[str, dict[str, dict[str, list[dict[str, float]]]]]
"""By workload, concurrency and server: the windows' summaries in the order of the rounds."""


def measure(work: Workplace, share: float) -> dict[str, Any]:
    """`closed` is Cells; `open` is by workload, server and arrivals a second; `ceiling` by server and workload."""
    ends = time.monotonic() + WHOLE_S
    texts = {workload: make_prompts(work.tokenizer, workload, PROMPTS) for workload in WINDOW_S}
    tokens = {workload: count_tokens(work.tokenizer, texts[workload]) for workload in WINDOW_S}
    with _servers(work) as (servers, missing):
        requests = {
            (workload, name): [server.request(text) for text in texts[workload]]
            for workload in WINDOW_S
            for name, server in servers.items()
        }
        for (_, name), asked in requests.items():
            closed_loop(servers[name].port, rotated(asked, 0), 2, 1.0)  # warms up
        closed: Cells = {}
        spent: dict[tuple[str, int, str], float] = {}
        for number in range(max(1, round(ROUNDS * share))):
            _round(servers, requests, number, min(1.0, share), closed, spent)
        return {
            "missing": missing,
            "closed": closed,
            "open": _over_load(servers, requests, closed, OPEN_S * min(1.0, share), ends),
            "tokens": {workload: _summary(lengths) for workload, lengths in tokens.items()},
            "ceiling": {
                name: {workload: round(prompts_per_second(curve, lengths), 2) for workload, lengths in tokens.items()}
                for name, model in OUR_MODELS.items()
                if (curve := stored_curve(work.model(model))) is not None
            },
        }


@contextlib.contextmanager
def _servers(work: Workplace) -> Iterator[tuple[dict[str, Server], list[str]]]:
    """Those that start, and the names of those that don't."""
    options = {"cache_entries": 0, "deadline_ms": NO_DEADLINE_MS}
    wanted = {
        OURS: lambda: pointsman(work, OURS, work.model(OUR_MODELS[OURS]), **options),
        TENSOR: lambda: pointsman(work, TENSOR, work.model(OUR_MODELS[TENSOR]), **options),
        BUILT_IN: lambda: pointsman(work, BUILT_IN, "builtin", **options),
        PADDED: lambda: queue_and_pad(work, work.model("padded")),
    } | {name: lambda name=name: peer(work, name) for name in PEERS}
    servers, missing = {}, []
    with contextlib.ExitStack() as stack:
        for name, start in wanted.items():
            try:
                servers[name] = stack.enter_context(start())
            except (OSError, RuntimeError) as error:
                print(f"goes on without {name}: {error}", file=sys.stderr)
                missing.append(name)
        yield servers, missing


def _round(
    servers: dict[str, Server],
    requests: dict[tuple[str, str], list[bytes]],
    number: int,
    share: float,
    closed: Cells,
    spent: dict[tuple[str, int, str], float],
) -> None:
    names = [*servers][number % len(servers) :] + [*servers][: number % len(servers)]
    for workload, seconds in WINDOW_S.items():
        for concurrency in CONCURRENCY:
            for name in names:
                cell = workload, concurrency, name
                if spent.get(cell, 0.0) > CELL_S or sum(spent.values()) > CLOSED_S:
                    continue
                asked = rotated(requests[workload, name], number * PROMPTS // ROUNDS)
                window = closed_loop(servers[name].port, asked, concurrency, seconds * share)
                spent[cell] = spent.get(cell, 0.0) + window.seconds
                rounds = closed.setdefault(workload, {}).setdefault(str(concurrency), {}).setdefault(name, [])
                rounds.append(window.summary())
                print(workload, concurrency, name, rounds[-1], flush=True)


def _over_load(
    servers: dict[str, Server], requests: dict[tuple[str, str], list[bytes]], closed: Cells, seconds: float, ends: float
) -> dict[str, Any]:
    if OURS not in servers:
        return {}
    result: dict[str, Any] = {}
    for workload in WINDOW_S:
        throughput = {name: median(rounds, "per_second") for name, rounds in closed[workload]["8"].items()}
        best = max((name for name in throughput if name in PEERS), key=throughput.__getitem__, default=OURS)
        for share in LOADS:
            rate = round(throughput[OURS] * share, 1)
            for name in sorted({OURS, best} if time.monotonic() < ends else ()):
                window = open_loop(servers[name].port, rotated(requests[workload, name], 0), rate, seconds)
                rates = result.setdefault(workload, {}).setdefault(name, {})
                rates[str(rate)] = window.summary()
                print(workload, name, rate, rates[str(rate)], flush=True)
                time.sleep(0.5)
    return result


def median(rounds: list[dict[str, float]], figure: str) -> float:
    """Over the rounds."""
    return statistics.median(window[figure] for window in rounds)


def _summary(tokens: list[int]) -> dict[str, float]:
    return {"mean": round(statistics.mean(tokens), 1), "median": quantile(tokens, 0.5), "p95": quantile(tokens, 0.95)}
