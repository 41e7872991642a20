"""Measure what client keys cost a request, without sockets: from its first byte to the end of its answer.

The same service as in path.py, with keys and without, takes the same requests in turns, round by round: with a key that
may use any model, with one that is limited to some models, with one for each limit, and with one that has them all.
Then an event of a stream, with and without the usage's being taken out. Then right and wrong secrets are looked up in a
random order, among few keys and among as many as a file may have. Writes access.json and access.md to
benchmarks/results.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import secrets
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
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
from pointsman.http1.body import Chunked, chunk
from pointsman.proxy.hidden_usage import HiddenUsage

ROUNDS = 60
"""A round is short, so that some of many see no other program."""
WANTED_US = 3.0
SECRET = b"sk-of-the-benchmark"
"""The secret in the requests of path.py."""
MUCH = 2**31 - 1
FAR = 2.0**40
CALLS = 200
LOOKUP_ROUNDS = 1000
"""So many that a difference of a nanosecond is seen."""
NUMBERS = (10, 10_000)

SOME = Scope(frozenset({EXPLICIT}), EXPLICIT)
PLAIN = {
    "any model": ClientKey("bench", digest_of(SECRET)),
    "some models": ClientKey("bench", digest_of(SECRET), SOME),
    "some models, and it expires": ClientKey("bench", digest_of(SECRET), SOME, FAR),
    "size of a body": ClientKey("bench", digest_of(SECRET), SOME, FAR, max_body_bytes=MUCH),
}
COUNTED = {
    "requests in flight": KeyLimits(max_in_flight=MUCH),
    "requests a minute": KeyLimits(requests_per_minute=MUCH),
    "tokens a minute": KeyLimits(tokens_per_minute=MUCH),
    "all limits": KeyLimits(MUCH, MUCH, MUCH),
}
KEYS = PLAIN | {
    name: ClientKey("bench", digest_of(SECRET), SOME, FAR, limits, MUCH if name == "all limits" else None)
    for name, limits in COUNTED.items()
}
NONE = "no keys"
EVENT = chunk(
    b'data: {"id":"chatcmpl-8aae84cd","object":"chat.completion.chunk","created":1764151200,"model":"technical-lora",'
    b'"choices":[{"index":0,"delta":{"content":" inner"},"logprobs":null,"finish_reason":null}]}\n\n'
)
WRONG = "wrong"
SENT = {
    "right": SECRET,
    "wrong in the last byte": SECRET[:-1] + b"X",
    "wrong in the first byte": b"X" + SECRET[1:],
    WRONG: b"X" * len(SECRET),
    "wrong, again": b"X" * len(SECRET),
}
"""Secrets by what is wrong in them; between the last two, only chance makes a difference."""
SAME_NS = 50.0
"""What is less is no difference that a client sees: the network and the event loop vary by a thousand times as much."""


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


def _timed(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the microseconds of each kind of work in each round; they take turns in a random order."""
    times: dict[str, list[float]] = {name: [] for name in work}
    order = list(work)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            do = work[name]
            started = time.perf_counter()
            for _ in range(CALLS):
                do()
            times[name].append(round((time.perf_counter() - started) / CALLS * 1e6, 4))
    return times


def event(rounds: int) -> float:
    """Return by how many microseconds an event costs more in a stream whose usage is taken out."""
    untouched, without = Chunked(verbatim=True), HiddenUsage(chunked=True)
    times = _timed({"untouched": partial(untouched.feed, EVENT), "without": partial(without.feed, EVENT)}, rounds)
    return round(difference(times["without"], times["untouched"]), 3)


def lookups(rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return how long it takes to look each of SENT up, compared with a wrong one, by the number of keys."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for number in NUMBERS:
        keys = ClientKeys([*others(number - 1), PLAIN["any model"]])
        times = _timed({name: partial(keys.find, secret) for name, secret in SENT.items()}, rounds)
        found[f"{number:,} keys"] = {name: _compared(times[name], times[WRONG]) for name in SENT}
    return found


def _compared(times: Sequence[float], wrong: Sequence[float]) -> dict[str, float]:
    more = [(one - other) * 1000 for one, other in zip(times, wrong, strict=True)]
    low, high = interval(more)
    return {
        "best_us": min(times),
        "more_ns": round(statistics.median(more), 1),
        "low_ns": round(low, 1),
        "high_ns": round(high, 1),
    }


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return between which of the values their median lies with a confidence of 99 %, by rank."""
    ordered, count = sorted(values), len(values)
    around = 2.576 * math.sqrt(count) / 2
    return ordered[max(0, math.floor(count / 2 - around))], ordered[min(count - 1, math.ceil(count / 2 + around))]


def rendered(result: dict[str, Any]) -> list[str]:
    """Return the result as a Markdown page."""
    requests = result["requests"]
    more = {name: difference(requests[name], requests[NONE]) for name in KEYS}
    rows = [[name, f"{min(times):.2f}", f"{more.get(name, 0.0):.2f}"] for name, times in requests.items()]
    return [
        "# What client keys cost",
        "",
        "CPU time of the event loop for a chat completion of 1 KiB that names its model, without the system calls of",
        "sockets (`make bench-access`): without keys, and with one among 101 keys, which has no limit, one, or all.",
        f"Microseconds, best of {result['rounds']} rounds; the difference is the median of those of each round.",
        f"{processor(result['machine'])}, Python {result['python']}, commit {result['commit']}.",
        "",
        *table(["", "best", "more"], rows),
        "",
        *judged(
            at_most(f"a request, more microseconds: {what}", WANTED_US, {name: more[name] for name in names})
            for what, names in JUDGED.items()
        ),
        "",
        *REASONS,
        f"Where the usage is taken out of a stream, each event costs {result['event_us']:.2f} µs more.",
        "",
        *_secrets(result["lookups"]),
    ]


JUDGED = {"a key": tuple(PLAIN), "a key whose use is counted": tuple(COUNTED)}
REASONS = [
    "What is beyond the target is the work of a limit, and is not done for a key without it. Requests in flight are a",
    "number that goes up and down. Of requests a minute, a bucket drains and fills, and the answer gets three headers",
    "that say what is left. Of tokens a minute the same, and the body is read for how long the answer may be and",
    "whether it is a stream; at its end, what was reserved and not used is given back.",
    "",
]


def _secrets(looked_up: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """Return the lines about how long secrets take by what is wrong in them."""
    found = {f"{number}, {name}": times for number, kinds in looked_up.items() for name, times in kinds.items()}
    rows = [
        [name, f"{times['best_us']:.3f}", f"{times['more_ns']:.1f}", f"{times['low_ns']:.1f} to {times['high_ns']:.1f}"]
        for name, times in found.items()
    ]
    differences = {name: abs(times["more_ns"]) for name, times in found.items()}
    return [
        f"To look a secret up, in microseconds, best of {LOOKUP_ROUNDS:,} rounds in which all have their turn in a",
        "random order; and how many nanoseconds more than one that is wrong throughout: the median of the rounds, with",
        "the interval that has it with a confidence of 99 %. That one is sent twice, to show what chance does. All are",
        "hashed first, so a few nanoseconds come from where in a table a hash lands, not from how much of it is right.",
        "",
        *table(["", "best", "more, ns", "interval"], rows),
        "",
        *judged([at_most("a secret, more or less nanoseconds than a wrong one", SAME_NS, differences)]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    result = provenance() | {"rounds": rounds, "requests": uvloop.run(measure(rounds))}
    result |= {"event_us": event(LOOKUP_ROUNDS), "lookups": lookups(LOOKUP_ROUNDS)}
    RESULT.with_name("access.json").write_text(json.dumps(result, indent=2) + "\n")
    page = "\n".join(rendered(result)) + "\n"
    RESULT.with_name("access.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
