"""Measure the share of asks that keep their route, and what finding them costs."""

from __future__ import annotations

import json
import math
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ask.quick_rules import QuickFinder
from ask.routes import SampleRouter, bare
from ask.wrapper import DOMAINS, FOLDER, SpokenDocument, Wrapper, injections, materials, spoken_documents
from pointsman.routing.ask import AskFinder

ASKS = 12
INJECTED_KINDS = 8
COST_CHARACTERS = 4096
COST_RUNS = 20


def rows(file: Path) -> list[dict[str, str]]:
    """Return the rows of a file of JSON lines; a text may hold other line ends."""
    return [json.loads(line) for line in file.read_text().split("\n") if line]


def written() -> list[dict[str, str]]:
    """Return the hand-written asks."""
    return rows(FOLDER / "asks.jsonl")


async def right_when_bare(routes: SampleRouter, file: Path) -> list[dict[str, str]]:
    """Return the prompts of a data file that reach the adapter of their label."""
    asks = [{"text": row["text"], "domain": row["label"]} for row in rows(file) if row["label"] in DOMAINS]
    return [ask for ask in asks if ask["domain"] in await routes.model(bare(ask["text"]))]


async def asks_found(
    routes: SampleRouter, kinds: Iterable[Wrapper], pools: list[list[dict[str, str]]]
) -> dict[str, Any]:
    """Return by kind how many asks keep their route, and what others get.

    `without` the search for the ask, `quick`: by quick rules in its place, and `no_line`: without the line that asks of
    what stays whole. `astray` has how many of each get the adapter of another category.
    """
    ways: dict[str, dict[str, Any]] = {
        "kept": {},
        "without": {"finder": AskFinder("last_user")},
        "quick": {"finder": QuickFinder()},
        "no_line": {"line": False},
    }
    found: dict[str, Any] = {}
    for kind in kinds:
        chance = random.Random(kind.id)
        asks = [ask for pool in pools for ask in chance.sample(pool, ASKS // len(pools))]
        right, astray = dict.fromkeys(ways, 0), dict.fromkeys(ways, 0)
        lost = []
        cases = [(ask, material) for ask in asks for material in _materials(kind, ask["domain"], chance)]
        for ask, material in cases:
            wanted = routes.default if kind.expect == "default" else await routes.model(bare(ask["text"]))
            body = kind.filled(ask["text"], material)
            for way, options in ways.items():
                got = await routes.model(body, kind.format, **options)
                right[way] += got == wanted
                astray[way] += got not in (wanted, routes.default)
                if got != wanted and way == "kept":
                    lost.append(f"{wanted} -> {got}: {ask['text'][:60]}")
        found[kind.id] = {"expect": kind.expect, **right, "astray": astray, "of": len(cases), "lost": lost[:4]}
    return found


def _materials(kind: Wrapper, domain: str, chance: random.Random) -> list[str]:
    """Return a passage of the ask's domain, and one of another, where the wrapper takes one."""
    if kind.material == "none":
        return [""]
    passages = materials(kind.material)
    other = chance.choice([name for name in DOMAINS if name != domain and passages[name]])
    own = passages[domain] or passages[other]
    return [chance.choice(own), chance.choice(passages[other])]


async def injected(routes: SampleRouter, kinds: Iterable[Wrapper]) -> dict[str, Any]:
    """Return how many documents that try to speak leave the route as it is, by technique and by kind.

    `astray` has how many reach the adapter of another category.
    """
    able = [kind for kind in kinds if kind.expect == "ask" and kind.material != "none"]
    by_technique: Counter[str] = Counter()
    by_kind: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    astray = 0
    asks = written()
    for case in injections():
        chance = random.Random(case["id"])
        family = case["id"].split("/")[0]
        for kind in chance.sample(able, INJECTED_KINDS):
            ask = chance.choice(asks)["text"]
            wanted = await routes.model(bare(ask))
            got = await routes.model(kind.filled(ask, case["material"].rstrip("\n")), kind.format)
            tried.update([family, kind.id])
            by_technique[family] += got == wanted
            by_kind[kind.id] += got == wanted
            astray += got not in (wanted, routes.default)
    of = sum(tried[family] for family in by_technique)
    return {
        "unchanged": sum(by_technique.values()) / of,
        "astray": astray / of,
        "techniques": {family: [count, tried[family]] for family, count in sorted(by_technique.items())},
        "kinds": {name: [by_kind[name], tried[name]] for name in sorted(tried) if "/" in name},
    }


def spoken(kinds: Iterable[Wrapper]) -> list[tuple[SpokenDocument, Wrapper, str]]:
    """Return the documents of spoken.yaml, each with a wrapper and an ask of another domain than it speaks of."""
    able = [kind for kind in kinds if kind.expect == "ask" and kind.material == "document"]
    asks = written()
    rows: list[tuple[SpokenDocument, Wrapper, str]] = []
    for document in spoken_documents():
        chance = random.Random(document.id)
        others = [ask["text"] for ask in asks if ask["domain"] != document.domain]
        rows.append((document, chance.choice(able), chance.choice(others)))
    return rows


async def spoken_kept(routes: SampleRouter, kinds: Iterable[Wrapper]) -> dict[str, Any]:
    """Return how many documents of spoken.yaml leave the route as it is, by form."""
    by_form: dict[str, list[int]] = {}
    for document, kind, ask in spoken(kinds):
        figures = by_form.setdefault(document.form, [0, 0])
        got = await routes.model(kind.filled(ask, document.text), kind.format)
        figures[0] += got == await routes.model(bare(ask))
        figures[1] += 1
    kept, of = (sum(column) for column in zip(*by_form.values(), strict=True))
    return {"unchanged": kept / of, "forms": by_form}


async def unwrapped(routes: SampleRouter, asks: Iterable[str]) -> dict[str, Any]:
    """Return how many bare asks get the model that they get without a search for the ask."""
    without = AskFinder("last_user")
    changed = [ask for ask in asks if await routes.model(bare(ask)) != await routes.model(bare(ask), finder=without)]
    return {"changed": len(changed), "asks": [ask[:80] for ask in changed]}


class Costs:
    """The microseconds for a message of 4 KiB, of each kind the best of runs that are spread over the benchmark.

    The pace of a host that others share changes within minutes; what it takes from the search is none of its cost.
    """

    def __init__(self, kinds: Iterable[Wrapper]) -> None:
        ask = written()[0]["text"]
        self._texts: dict[str, str] = {}
        for kind in kinds:
            if kind.expect == "ask" and kind.material != "none":
                passage = "\n\n".join(text for texts in materials(kind.material).values() for text in texts)
                self._texts[kind.id] = _longest(json.loads(kind.filled(ask, passage[:COST_CHARACTERS])))
        self._best = dict.fromkeys(self._texts, math.inf)

    def run(self) -> None:
        """Measure each kind some times."""
        for kind, text in self._texts.items():
            for _ in range(COST_RUNS):
                finder = AskFinder()  # a finder knows what it has searched
                begun = time.perf_counter()
                finder.find([text])
                taken = (time.perf_counter() - begun) * 1e6 * COST_CHARACTERS / max(len(text), COST_CHARACTERS)
                self._best[kind] = min(self._best[kind], taken)

    def found(self) -> dict[str, float | str]:
        """Return the median over the kinds, and the kind that costs most."""
        most = max(self._best, key=self._best.__getitem__)
        return {"median_us": statistics.median(self._best.values()), "most_us": self._best[most], "most_kind": most}


def _longest(value: Any) -> str:
    if isinstance(value, str):
        return value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return max((_longest(item) for item in items), key=len, default="")
