"""Measure what the daemon adds to a request: chat completions through it, and directly to the same upstream.

The upstream answers after a tenth of a second, like a short response of vLLM; with an immediate one, only queueing
would be measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
from collections.abc import Iterator
from typing import Any

from inference.alone import median_us
from inference.load import closed_loop, post
from inference.prompts import make_prompts
from inference.servers import NO_DEADLINE_MS, pointsman, upstream
from inference.workplace import InferenceFolder
from pointsman.classify import artifact
from pointsman.config.model import ClassifierOptions
from support.classifiers import opened
from support.service import CHAT, chat

DELAY_SECONDS = 0.1
CONCURRENCY = (1, 8, 32)
ROUNDS = 3
WINDOW_SECONDS = 2.5
CACHE, HITS, MISSES = 256, 64, 2048
"""A miss is a text that was evicted from the cache before it is sent again."""
ALONE = 20
"""Texts of a round that are classified without a daemon."""


def measure(work: InferenceFolder, share: float) -> dict[str, Any]:
    """Return `ways`: summaries of windows by concurrency and way, in the order of the rounds.

    `built_in_us` has what the built-in classifier takes for a miss and for a hit without a daemon, in each round.
    """
    texts = make_prompts(work.tokenizer, "short", HITS + MISSES)
    asked = [post(CHAT, chat(text)) for text in texts]
    hits, misses = asked[:HITS], asked[HITS:]
    directly = post(CHAT, chat(texts[0], model="llama2-7b"))
    options = {"cache_entries": CACHE, "deadline_ms": NO_DEADLINE_MS}
    with contextlib.ExitStack() as stack:
        loop = stack.enter_context(asyncio.Runner())
        alone = stack.enter_context(opened(artifact.load(artifact.BUILTIN), ClassifierOptions(cache_entries=ALONE)))
        port = stack.enter_context(upstream(work, DELAY_SECONDS))
        ways: dict[str, tuple[int, Iterator[bytes]]] = {"direct": (port, itertools.repeat(directly))}
        for name, model in (("base", work.model("int8-token")), ("built-in", "builtin")):
            server = stack.enter_context(pointsman(work, f"routed-{name}", model, port, **options))
            ways[f"{name}, miss"] = server.port, itertools.cycle(misses)
            ways[f"{name}, hit"] = server.port, itertools.cycle(hits)
        found: dict[str, Any] = {str(load): {way: [] for way in ways} for load in CONCURRENCY}
        built_in_us: dict[str, list[float]] = {"miss": [], "hit": []}
        for start in range(0, ALONE * max(1, round(ROUNDS * share)), ALONE):
            for way, pause in (("miss", DELAY_SECONDS), ("hit", 0.0)):
                built_in_us[way].append(loop.run(median_us(alone, texts[start : start + ALONE], pause)))
            for load, (way, (target, requests)) in itertools.product(CONCURRENCY, ways.items()):
                if way.endswith("hit"):  # evicted by the misses before
                    closed_loop(target, iter(hits), 8, math.inf)
                window = closed_loop(target, requests, load, WINDOW_SECONDS * min(1.0, share))
                found[str(load)][way].append(window.summary())
                print(load, way, window.summary(), flush=True)
    return {"delay_ms": DELAY_SECONDS * 1000, "ways": found, "built_in_us": built_in_us}
