"""Measure what client keys cost a request, without sockets: from its first byte to the end of its answer.

The same service as in path.py, with keys and without, takes the same requests in turns, round by round: with a key that
may use any model, with one that is limited to some models, and with one that has all limits. Then a right and a wrong
secret are looked up in turns, among few keys and among as many as a file may have. Writes access.json and access.md to
benchmarks/results.
"""

from __future__ import annotations

import argparse
import json
import math
import secrets
import time
from dataclasses import replace
from typing import Any

import uvloop
from markdown import judged, table
from path import EXPLICIT, HEAD, REQUESTS, body, quiet
from provenance import processor, provenance
from side_by_side import in_turn
from startup import RESULT, ROOT
from target import at_most, difference

from pointsman.app.prepare import Prepared, prepare
from pointsman.config.client_keys import ClientKey, ClientKeys, KeyLimits, Scope, digest_of

ROUNDS = 60
"""A round is short, so that some of many see no other program."""
WANTED_US = 3.0
SECRET = b"sk-of-the-benchmark"
"""The secret in the requests of path.py."""
MUCH = 2**31 - 1
LOOKUPS = 2000
NUMBERS = (10, 10_000)

KEYS = {
    "a key for any model": ClientKey("bench", digest_of(SECRET)),
    "a key for some models": ClientKey("bench", digest_of(SECRET), Scope(frozenset({EXPLICIT}), EXPLICIT)),
    "a key with all limits": ClientKey(
        "bench", digest_of(SECRET), Scope(frozenset({EXPLICIT}), EXPLICIT), math.inf, KeyLimits(MUCH, MUCH, MUCH, MUCH)
    ),
}
NONE = "no keys"


def others(count: int) -> list[ClientKey]:
    """Return keys of other clients."""
    return [ClientKey(f"client{number}", secrets.token_bytes(32)) for number in range(count)]


async def measure(rounds: int) -> dict[str, list[float]]:
    """Return the microseconds of a request in each round, by the key that it has."""
    base = quiet(prepare(ROOT / "config" / "config.yaml"))
    turns, size = REQUESTS["one question", "1 KiB"]
    sent = body(size, turns, EXPLICIT)
    pieces = [HEAD.format(len(sent)).encode() + sent]
    return await in_turn({name: _with(base, key) for name, key in {NONE: None, **KEYS}.items()}, pieces, rounds)


def _with(base: Prepared, key: ClientKey | None) -> Prepared:
    return base if key is None else replace(base, keys=ClientKeys([*others(100), key]))


def lookups(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return the microseconds to look a right, an almost right and a wrong secret up, by the number of keys."""
    found: dict[str, dict[str, list[float]]] = {}
    for number in NUMBERS:
        keys = ClientKeys([*others(number - 1), KEYS["a key for any model"]])
        tried = {"right": SECRET, "almost right": SECRET[:-1] + b"X", "wrong": b"X" * len(SECRET)}
        times: dict[str, list[float]] = {name: [] for name in tried}
        for _ in range(rounds):
            for name, secret in tried.items():
                started = time.perf_counter()
                for _ in range(LOOKUPS):
                    keys.find(secret)
                times[name].append(round((time.perf_counter() - started) / LOOKUPS * 1e6, 4))
        found[f"{number:,} keys"] = times
    return found


def rendered(result: dict[str, Any]) -> list[str]:
    """Return the result as a Markdown page."""
    requests, looked_up = result["requests"], result["lookups"]
    more = {name: difference(requests[name], requests[NONE]) for name in KEYS}
    rows = [[name, f"{min(times):.2f}", f"{more.get(name, 0.0):.2f}"] for name, times in requests.items()]
    return [
        "# What client keys cost",
        "",
        "CPU time of the event loop for a chat completion of 1 KiB that names its model, without the system calls of",
        "sockets (`make bench-access`): without keys, and with a key among 101. Microseconds, best of",
        f"{result['rounds']} rounds; the difference is the median of those of each round.",
        f"{processor(result['machine'])}, Python {result['python']}, commit {result['commit']}.",
        "",
        *table(["", "best", "more"], rows),
        "",
        *judged([at_most("a request with a key, more microseconds", WANTED_US, {KEY: more[KEY]})]),
        "",
        "To look a secret up, in microseconds, best of as many rounds:",
        "",
        *table(
            ["", *next(iter(looked_up.values()))],
            [[number, *(f"{min(found):.3f}" for found in times.values())] for number, times in looked_up.items()],
        ),
    ]


KEY = "a key for some models"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    result = provenance() | {"rounds": rounds, "requests": uvloop.run(measure(rounds)), "lookups": lookups(rounds)}
    RESULT.with_name("access.json").write_text(json.dumps(result, indent=2) + "\n")
    page = "\n".join(rendered(result)) + "\n"
    RESULT.with_name("access.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
