"""Measure classification over HTTP: the daemon and its peers run side by side and take turns.

Closed loops compare throughput with the same requests for all: distinct texts, and the daemon's cache off. Before each
window with many clients, our classifier alone answers the same texts without HTTP; in each round its cost curve is
measured anew. Then Poisson arrivals at shares of the daemon's own throughput show latency over load, for the daemon and
the best peer.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import uvloop
from target import quantile

from inference import alone
from inference.ceiling import least_p95_ms, measured_anew, prompts_per_second
from inference.load import closed_loop, open_loop, rotated
from inference.prompts import count_tokens, make_prompts
from inference.servers import NO_DEADLINE_MS, PEERS, Server, peer, pointsman
from inference.workplace import InferenceFolder
from pointsman.classify.cost_model import CostCurve
from pointsman.config.model import ClassifierOptions

OURS, TENSOR, BUILT_IN = "ours int8", "ours int8 per tensor", "built-in"
OUR_MODELS = {OURS: "int8-token", TENSOR: "int8-tensor"}
WINDOW_SECONDS = {"short": 2.0, "mix": 3.5}
FEW, MANY = 8, 32
CONCURRENCY = (1, FEW, MANY)
ROUNDS = 3
PROMPTS = 1024
CELL_SECONDS = 15.0
"""Time limit of a server for one cell: one that pads takes 30 s for a window of 3.5."""
LOADS = (0.25, 0.5, 0.75, 0.9)
OPEN_SECONDS = 6.0

Summary = dict[str, float]
Requests = dict[tuple[str, str], list[bytes]]
"""Requests by workload and server."""


def measure(work: InferenceFolder, share: float) -> dict[str, Any]:
    """Return `closed`: summaries by workload, concurrency and server, in the order of the rounds.

    `alone` is the same without HTTP, by workload and server, of MANY clients. `open` is by workload, server and
    arrivals per second; `ceiling` by server and workload, in the order of the rounds; `least_p95_ms` by server, for the
    mix and 8 clients, in the fastest round.
    """
    texts = {workload: make_prompts(work.tokenizer, workload, PROMPTS) for workload in WINDOW_SECONDS}
    tokens = {workload: count_tokens(work.tokenizer, texts[workload]) for workload in WINDOW_SECONDS}
    with _servers(work) as (servers, missing):
        requests = {
            (workload, name): [server.request(text) for text in texts[workload]]
            for workload in WINDOW_SECONDS
            for name, server in servers.items()
        }
        for (_, name), asked in requests.items():
            closed_loop(servers[name].port, rotated(asked, 0), 2, 1.0)  # warm-up
        closed, by_itself, curves = _closed(work, servers, requests, texts, share)
        return {
            "missing": missing,
            "closed": closed,
            "alone": by_itself,
            "open": _over_load(servers, requests, closed, OPEN_SECONDS * share),
            "tokens": {workload: _summary(lengths) for workload, lengths in tokens.items()},
            "ceiling": {
                name: {
                    workload: [round(prompts_per_second(curve, lengths), 2) for curve in by_round]
                    for workload, lengths in tokens.items()
                }
                for name, by_round in curves.items()
            },
            "least_p95_ms": {
                name: round(min(least_p95_ms(curve, tokens["mix"], FEW) for curve in by_round), 1)
                for name, by_round in curves.items()
            },
        }


@contextlib.contextmanager
def _servers(work: InferenceFolder) -> Iterator[tuple[dict[str, Server], list[str]]]:
    """Start all servers; yield those that run, and the names of the others."""
    options = {"cache_entries": 0, "deadline_ms": NO_DEADLINE_MS}
    wanted = {
        OURS: pointsman(work, OURS, work.model(OUR_MODELS[OURS]), **options),
        TENSOR: pointsman(work, TENSOR, work.model(OUR_MODELS[TENSOR]), **options),
        BUILT_IN: pointsman(work, BUILT_IN, "builtin", **options),
    } | {name: peer(work, name) for name in PEERS}
    servers, missing = {}, []
    with contextlib.ExitStack() as stack:
        for name, server in wanted.items():
            try:
                servers[name] = stack.enter_context(server)
            except (OSError, RuntimeError) as error:
                print(f"goes on without {name}: {error}", file=sys.stderr)
                missing.append(name)
        yield servers, missing


def _closed(
    work: InferenceFolder, servers: dict[str, Server], requests: Requests, texts: dict[str, list[str]], share: float
) -> tuple[dict[str, Any], dict[str, Any], dict[str, list[CostCurve]]]:
    """Return the summaries over HTTP and those without, and our models' cost curves in the order of the rounds."""
    names = list(servers)
    found: dict[str, Any] = {
        workload: {str(load): {name: [] for name in names} for load in CONCURRENCY} for workload in WINDOW_SECONDS
    }
    by_itself: dict[str, Any] = {workload: {name: [] for name in OUR_MODELS} for workload in WINDOW_SECONDS}
    curves: dict[str, list[CostCurve]] = {name: [] for name in OUR_MODELS}
    spent: dict[tuple[str, int, str], float] = defaultdict(float)
    models = {name: work.model(model) for name, model in OUR_MODELS.items()}
    options = ClassifierOptions(cache_entries=0, deadline_ms=NO_DEADLINE_MS)
    for number in range(max(1, round(ROUNDS * share))):
        turns = names[number % len(names) :] + names[: number % len(names)]
        cells = [(workload, load, name) for workload in WINDOW_SECONDS for load in CONCURRENCY for name in turns]
        with measured_anew(models, options) as loaded, asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            for name, classifier in loaded.items():
                curves[name].append(classifier.encoder.curve)
            for workload, load, name in cells:
                if spent[workload, load, name] > CELL_SECONDS:
                    continue
                start, seconds = number * PROMPTS // ROUNDS, WINDOW_SECONDS[workload] * min(1.0, share)
                if load == MANY and name in loaded:
                    asked = itertools.islice(itertools.cycle(texts[workload]), start, None)
                    window = loop.run(alone.closed_loop(loaded[name], asked, load, seconds))
                    by_itself[workload][name].append(window.summary())
                window = closed_loop(servers[name].port, rotated(requests[workload, name], start), load, seconds)
                spent[workload, load, name] += window.seconds
                found[workload][str(load)][name].append(window.summary())
                print(workload, load, name, window.summary(), flush=True)
    return found, by_itself, curves


def _over_load(
    servers: dict[str, Server], requests: Requests, closed: dict[str, Any], seconds: float
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for workload in WINDOW_SECONDS:
        throughput = {name: median(rounds, "per_second") for name, rounds in closed[workload]["8"].items()}
        best = max(PEERS.keys() & throughput, key=throughput.__getitem__, default=OURS)
        names = sorted({OURS, best})
        found[workload] = {name: {} for name in names}
        for share in LOADS:
            rate = round(throughput[OURS] * share, 1)
            for name in names:
                window = open_loop(servers[name].port, rotated(requests[workload, name], 0), rate, seconds)
                found[workload][name][str(rate)] = window.summary()
                print(workload, name, rate, window.summary(), flush=True)
                time.sleep(0.5)
    return found


def median(rounds: list[Summary], figure: str) -> float:
    """Return the median of a figure over the rounds."""
    return statistics.median(window[figure] for window in rounds)


def _summary(tokens: list[int]) -> Summary:
    return {"mean": round(statistics.mean(tokens), 1), "median": quantile(tokens, 0.5), "p95": quantile(tokens, 0.95)}
