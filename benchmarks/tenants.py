"""Measure what it costs that clients with keys share no classification: hits of the cache, memory, and time.

Clients send texts that come again as words do (Zipf), some from a pool that is common to all and some from one of their
own; the classifier's own keys and cache say which of these would run, with client keys and without. Then the memory of
an entry, and the time of a hit. Writes tenants.json and tenants.md to benchmarks/results.
"""

from __future__ import annotations

import argparse
import json
import time
import tracemalloc
from typing import Any

import numpy as np
import uvloop
from markdown import judged, table
from path import quiet
from provenance import processor, provenance
from startup import RESULT, ROOT
from target import at_most

from pointsman.app.prepare import prepare
from pointsman.classify.classifier import Classification, Classifier, Timing, _key
from pointsman.config.options.classifier import ClassifierOptions
from pointsman.lru import Lru

REQUESTS = 200_000
POOL = 20_000
"""Different texts in each pool."""
SLOPE = 1.0
"""Of Zipf's law: the text of rank n comes 1/n times as often as the first."""
CLIENTS = (1, 4, 16)
COMMON = (0.0, 0.5, 1.0)
ENTRIES = ClassifierOptions().cache_entries
ROUNDS, CALLS = 30, 1_000
MORE_BYTES, MORE_US = 1.0, 0.5


def texts(clients: int, common: float) -> list[tuple[str, str]]:
    """Return the client and the text of each request."""
    draw = np.random.default_rng(1)
    weights = 1 / np.arange(1, POOL + 1) ** SLOPE
    ranks = draw.choice(POOL, REQUESTS, p=weights / weights.sum()).tolist()
    who = draw.integers(clients, size=REQUESTS).tolist()
    shared = (draw.random(REQUESTS) < common).tolist()
    return [
        (f"client-{client}", f"text {rank} of {'all' if both else client}")
        for client, rank, both in zip(who, ranks, shared, strict=True)
    ]


def hits(sent: list[tuple[str, str]], *, keyed: bool) -> float:
    """Return the share of the requests whose text is in the cache."""
    cache: Lru[tuple[int, int], bool] = Lru(ENTRIES)
    found = 0
    for client, text in sent:
        key = _key(text, client if keyed else "")
        if cache.get(key) is None:
            cache.put(key, True)
        else:
            found += 1
    return found / len(sent)


def entry_bytes(client: str) -> float:
    """Return the bytes of an entry in a full cache."""
    labels = 14
    tracemalloc.start()
    try:
        cache: Lru[tuple[int, int], Classification] = Lru(ENTRIES)
        for number in range(ENTRIES):
            probabilities = tuple((number + label) / (ENTRIES + labels) for label in range(labels))
            found = Classification(probabilities, 1000 + number, False, Timing(), "hit", f"{number:032x}")
            cache.put(_key(f"text {number}", client), found)
        return tracemalloc.get_traced_memory()[0] / ENTRIES
    finally:
        tracemalloc.stop()


async def hit_us(classifier: Classifier, client: str) -> float:
    """Return the microseconds of a hit, the best of the rounds."""
    text = "How do I undo a commit in a shared git repository?"
    await classifier.classify(text, client=client)
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(CALLS):
            await classifier.classify(text, client=client)
        best = min(best, (time.perf_counter() - started) / CALLS * 1e6)
    return best


async def times() -> dict[str, float]:
    """Return the time of a hit, with a client and without."""
    classifier = quiet(prepare(ROOT / "config" / "config.yaml")).classifier
    try:
        return {name: round(await hit_us(classifier, client), 3) for name, client in NAMED.items()}
    finally:
        classifier.close()


NAMED = {"no keys": "", "keys": "client-7"}


def rendered(result: dict[str, Any]) -> list[str]:
    """Return the result as a Markdown page."""
    memory, taken = result["entry_bytes"], result["hit_us"]
    rows = [
        [f"{one['clients']} clients" if one["clients"] > 1 else "1 client", f"{one['common']:.0%}"]
        + [f"{one[name]:.1%}" for name in NAMED]
        + [f"{(1 - one['keys']) / (1 - one['no keys']):.2f}"]
        for one in result["hits"]
    ]
    return [
        "# What it costs that clients with keys share no classification",
        "",
        "A text that several clients send is classified once for each (`make bench-tenants`). The more texts they have",
        f"in common, the more runs that takes. {result['requests']:,} requests, whose texts come again by Zipf's law",
        f"from pools of {result['pool']:,} texts: one that is common to all, and one of each client; a cache of",
        f"{result['entries']:,} entries, as by default, for all clients together. The last column is the number of",
        "runs with keys over that without.",
        f"{processor(result['machine'])}, Python {result['python']}, commit {result['commit']}.",
        "",
        *table(["", "from the common pool", "hits without keys", "hits with keys", "runs"], rows),
        "",
        f"An entry takes {memory['no keys']:.0f} bytes without keys and {memory['keys']:.0f} with them, as the client",
        f"is hashed with the text. A hit takes {taken['no keys']:.2f} µs without and {taken['keys']:.2f} µs with them.",
        "",
        *judged(
            [
                at_most("an entry, more bytes with keys", MORE_BYTES, {"": memory["keys"] - memory["no keys"]}),
                at_most("a hit, more microseconds with keys", MORE_US, {"": taken["keys"] - taken["no keys"]}),
            ]
        ),
    ]


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    found = []
    for clients in CLIENTS:
        for common in COMMON if clients > 1 else COMMON[:1]:
            sent = texts(clients, common)
            shares = {name: round(hits(sent, keyed=bool(client)), 4) for name, client in NAMED.items()}
            found.append({"clients": clients, "common": common} | shares)
    result = provenance() | {"requests": REQUESTS, "pool": POOL, "entries": ENTRIES, "hits": found}
    result |= {"entry_bytes": {name: round(entry_bytes(client), 1) for name, client in NAMED.items()}}
    result |= {"hit_us": uvloop.run(times())}
    RESULT.with_name("tenants.json").write_text(json.dumps(result, indent=2) + "\n")
    page = "\n".join(rendered(result)) + "\n"
    RESULT.with_name("tenants.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
