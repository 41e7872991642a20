"""What the daemon adds to a request: chat completions through it, beside the same to the same upstream directly.

The upstream answers after a tenth of a second, as a short answer of vLLM does; one that answers at once would only show
how a full queue waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import time
from typing import Any

from inference.load import closed_loop, post
from inference.prompts import make_prompts
from inference.servers import NO_DEADLINE_MS, pointsman, upstream
from inference.workplace import Workplace
from pointsman.classify import artifact
from pointsman.classify.classifier import Classifier
from pointsman.config.model import ClassifierOptions
from support.service import CHAT, chat

DELAY_S = 0.1
CONCURRENCY = (1, 8, 32)
ROUNDS = 3
WINDOW_S = 2.5
CACHE, HITS, MISSES = 256, 64, 2048
"""A miss is a text that the cache forgot again before its turn comes round."""
HIT_CALLS = 20_000


def measure(work: Workplace, share: float) -> dict[str, Any]:
    """`ways`: by concurrency and way, the windows' summaries in the order of the rounds."""
    texts = make_prompts(work.tokenizer, "short", HITS + MISSES)
    asked = [post(CHAT, chat(text)) for text in texts]
    hits, misses = asked[:HITS], asked[HITS:]
    directly = post(CHAT, chat(texts[0], model="llama2-7b"))
    options = {"cache_entries": CACHE, "deadline_ms": NO_DEADLINE_MS}
    result: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(upstream(work, DELAY_S))
        ways = {"direct": (port, itertools.repeat(directly))}
        for name, model in (("base", work.model("int8-token")), ("built-in", "builtin")):
            server = stack.enter_context(pointsman(work, f"routed-{name}", model, port, **options))
            ways |= {f"{name}, miss": (server.port, itertools.cycle(misses))}
            ways |= {f"{name}, hit": (server.port, itertools.cycle(hits))}
        for _ in range(max(1, round(ROUNDS * share))):
            for concurrency in CONCURRENCY:
                for way, (target, requests) in ways.items():
                    if way.endswith("hit"):  # the misses before threw them out
                        closed_loop(target, iter(hits), 8, math.inf)
                    window = closed_loop(target, requests, concurrency, WINDOW_S * share)
                    cell = result.setdefault(str(concurrency), {}).setdefault(way, [])
                    cell.append(window.summary())
                    print(concurrency, way, cell[-1], flush=True)
    return {"delay_ms": DELAY_S * 1000, "ways": result, "hit_us": round(asyncio.run(_hit_us(texts[0])), 2)}


async def _hit_us(text: str) -> float:
    """Microseconds for a class that the classifier remembers."""
    classifier = Classifier(artifact.load(artifact.BUILTIN), ClassifierOptions())
    with contextlib.closing(classifier):
        await classifier.classify(text)
        started = time.perf_counter()
        for _ in range(HIT_CALLS):
            await classifier.classify(text)
        return (time.perf_counter() - started) / HIT_CALLS * 1e6
