"""Measure questions that only point to a document: whether they get its model; write results/ask_pointing.json, .md.

Each of the cases in pointing.yaml is sent in some wrappers that take a document, once as the router reads it, and once
without the material. The documents that try to speak (injections.yaml) must not gain by a question that points to them:

    PYTHONPATH=benchmarks python -m ask.pointing
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import yaml
from markdown import publish, table
from provenance import provenance

from ask.routes import SampleRouter, bare
from ask.wrapper import FOLDER, Wrapper, injections, wrappers

RESULT = Path(__file__).parents[1] / "results" / "ask_pointing.json"
KINDS, INJECTED_KINDS = 8, 4
POINTING = (
    "What does this say?",
    "Is anything missing in this?",
    "Which part of this should I leave out?",
    "what is this about",
)
INJECTED = "documents that speak: the model of the bare question"


class Case(msgspec.Struct):
    """A question, the document to which it points, and whose model is wanted."""

    ask: str
    material: str
    wanted: str

    @property
    def group(self) -> str:
        """Return the row of the table."""
        domain = self.material.partition("-")[0]
        if domain == "everyday":
            return "questions about neutral documents: the default model"
        if self.wanted == "everyday":
            return "tasks and asks with another subject, with such documents: the default model"
        return f"questions about {domain} documents: the adapter"


def main() -> None:
    result = provenance() | {"cases": asyncio.run(measured())}
    publish(RESULT, result, rendered(result))


async def measured() -> dict[str, dict[str, int]]:
    """Return by group how many requests get the model that they should, with the ask alone and with the material."""
    routes = SampleRouter()
    found: Counter[tuple[str, bool]] = Counter()
    total: Counter[str] = Counter()
    able = [kind for name in ("known", "others") for kind in wrappers(name) if _takes_document(kind)]
    for case in msgspec.convert(yaml.safe_load((FOLDER / "pointing.yaml").read_text()), list[Case]):
        passage = (FOLDER / "material" / f"{case.material}.txt").read_text().rstrip("\n")
        for kind in random.Random(case.ask + case.material).sample(able, KINDS):
            total[case.group] += 1
            for material in (False, True):
                got = await routes.model(kind.filled(case.ask, passage), kind.format, material=material)
                right = got == routes.default if case.wanted == "everyday" else got.startswith(case.wanted)
                found[case.group, material] += right
    able = [kind for kind in wrappers("known") if kind.expect == "ask" and kind.material != "none"]
    for injection in injections():
        chance = random.Random(injection["id"])
        for kind in chance.sample(able, INJECTED_KINDS):
            ask = chance.choice(POINTING)
            total[INJECTED] += 1
            for material in (False, True):
                body = kind.filled(ask, injection["material"].rstrip("\n"))
                same = await routes.model(body, kind.format, material=material) == await routes.model(bare(ask))
                found[INJECTED, material] += same
    return {name: {"alone": found[name, False], "material": found[name, True], "of": of} for name, of in total.items()}


def rendered(result: dict[str, Any]) -> list[str]:
    """Return the report's lines."""
    rows = [[name, *[str(case[key]) for key in ("alone", "material", "of")]] for name, case in result["cases"].items()]
    return [
        "# Questions that only point to a document",
        "",
        "Which of them get the model that they should, by the built-in classifier and the sample config: with the ask",
        f"alone, and where the material may tell its subject. Each in {KINDS} of the wrappers that take a document.",
        f"`make bench-ask`, commit {result['commit']}.",
        "",
        *table(["", "ask alone", "with material", "of"], rows),
    ]


def _takes_document(kind: Wrapper) -> bool:
    return kind.expect == "ask" and kind.material == "document"


if __name__ == "__main__":
    main()
