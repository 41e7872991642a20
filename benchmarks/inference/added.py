"""Measure what a routed request costs beyond its classification at 30, 60 and 90 % of the capacity.

Requests arrive at random, whether or not earlier ones have been answered. The same arrivals go directly to the
upstream, and the classification is measured alone: what is left of the difference is the daemon, and the wait for a
worker. How much of that wait is inevitable is computed for the same arrivals, see `ideal`. The
capacity is what many clients reach that each wait for their answer; the upstream and the load generator use the same
cores.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from inference import ideal, phases
from inference.alone import median_us
from inference.load import closed_loop, open_loop, post, rotated
from inference.prompts import count_tokens, make_prompts
from inference.servers import NO_DEADLINE_MS, pointsman, upstream
from inference.workplace import InferenceFolder
from pointsman.classify import artifact
from pointsman.classify.cost_model import CostCurve
from pointsman.classify.manifest import MODEL, TOKENIZER
from pointsman.config.model import ClassifierOptions
from support.classifiers import opened
from support.service import CHAT, chat

DELAY_SECONDS = 0.1
SHARES = (0.3, 0.6, 0.9)
ROUNDS = 3
WINDOW_SECONDS = 4.0
CLIENTS = 128
"""Enough to keep the classifier busy although each waits for the upstream."""
PAUSE_SECONDS = 0.02
TEXTS, ALONE = 4096, 30
"""Texts in all, and those of a round that are classified alone."""


def measure(work: InferenceFolder, share: float) -> dict[str, Any]:
    """Return by classifier its `capacity`, `alone_ms`, `ideal_ms`, `queue_ms`, `phases_ms`, and windows.

    `alone_ms` is by round; windows are by share of the capacity, way and round. The two bounds are by share, beyond the
    class at p50; the phases by share, of the last round.
    """
    models = {"built-in": artifact.BUILTIN, "base": work.model("int8-token")}
    seconds, rounds = WINDOW_SECONDS * min(1.0, share), max(1, round(ROUNDS * share))
    return {
        "delay_ms": DELAY_SECONDS * 1000,
        "missing": [name for name, folder in models.items() if not folder.exists()],
        "classifiers": {
            name: _measured(work, name, folder, rounds, seconds) for name, folder in models.items() if folder.exists()
        },
    }


def _measured(work: InferenceFolder, name: str, folder: Path, rounds: int, seconds: float) -> dict[str, Any]:
    texts = make_prompts(folder / TOKENIZER, "short", TEXTS)
    asked = [post(CHAT, chat(text)) for text in texts]
    directly = post(CHAT, chat(texts[0], model="llama2-7b"))
    spans: dict[str, tuple[datetime, datetime]] = {}
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(upstream(work, DELAY_SECONDS))
        options = {"cache_entries": 0, "deadline_ms": NO_DEADLINE_MS}
        server = stack.enter_context(pointsman(work, f"added-{name}", folder, port, **options))
        closed_loop(server.port, rotated(asked, 0), 8, 1.0)  # warm-up
        capacity = closed_loop(server.port, rotated(asked, 0), CLIENTS, seconds).summary()["per_second"]
        windows: dict[str, dict[str, list[dict[str, float]]]] = {}
        ways: dict[str, tuple[int, Iterator[bytes]]] = {
            "direct": (port, itertools.repeat(directly)),
            "routed": (server.port, itertools.cycle(asked)),
        }
        loop = stack.enter_context(asyncio.Runner())
        classifier = stack.enter_context(opened(artifact.load(folder), ClassifierOptions(cache_entries=0)))
        curve, alone_ms = classifier.encoder.curve, []
        for start in range(0, ALONE * rounds, ALONE):
            alone_ms.append(loop.run(median_us(classifier, texts[start : start + ALONE], PAUSE_SECONDS)) / 1000)
            for part, (way, (target, requests)) in itertools.product(SHARES, ways.items()):
                begun = phases.now()
                window = open_loop(target, requests, part * capacity, seconds).summary()
                windows.setdefault(f"{part:g}", {way: [] for way in ways})[way].append(window)
                spans[f"{part:g}"] = begun, phases.now()  # at last that of the daemon, which is the second way
    log = (work.part("logs") / f"added-{name}.log").read_text().splitlines()
    alone_s = statistics.median(alone_ms) / 1000
    tokens = round(statistics.median(count_tokens(folder / TOKENIZER, texts)))

    def bounds(curve: CostCurve) -> dict[str, float]:
        arrivals = {f"{part:g}": ideal.poisson(part * capacity, seconds) for part in SHARES}
        return {part: round(ideal.beyond_class_ms(curve, alone_s, tokens, some), 3) for part, some in arrivals.items()}

    return {
        "sha256": artifact.read_manifest(folder).files[MODEL],
        "capacity": capacity,
        "alone_ms": alone_ms,
        "ideal_ms": bounds(curve),
        "queue_ms": bounds(ideal.of_capacity(curve.workers, tokens, alone_s, capacity)),
        "phases_ms": {part: phases.medians(log, *span) for part, span in spans.items()},
        "windows": windows,
    }
