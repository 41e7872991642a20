"""Render what was measured, and judge it."""

from __future__ import annotations

from typing import Any

from markdown import judged, table
from target import Target, at_least, at_most

WORST_KIND = 0.85
WANTED = {
    "known": 0.98,
    "others": 0.95,
    "others_apart": 0.95,
    "apps": 0.95,
    "apps_apart": 0.95,
    "habits": 0.95,
    "habits_apart": 0.95,
    "held_out": 0.95,
}
NAMES = {
    "known": "known wrappers",
    "others": "third round, seen in development",
    "others_apart": "third round, kept apart",
    "apps": "fourth round, seen in development",
    "apps_apart": "fourth round, kept apart",
    "habits": "fifth round, seen in development",
    "habits_apart": "fifth round, kept apart",
    "held_out": "wrappers kept out of development",
}
SORTS = {"ask": "asks that keep their model", "default": "helper tasks to the default model"}
UNCHANGED = 0.95
COST_US = 150
MOST_US = 3125
"""Of a message 64 KiB are searched, which may delay others by 50 ms: a sixteenth of that."""
# A row for each kind that keeps less than all of its asks.
SHOWN_BELOW = 1.0

WHY_SHORT = (
    "Helper tasks of clients that nobody listed: an instruction of no subject about what a user said, or what stands",
    "under a name, is one now, which took those kept out of development from 0.78 to 0.93, those of the third round",
    "kept apart from 0.65 to 0.76, and of the fourth from 0.48 to 0.74. To ask for less (any subject of the order,",
    "lines without a name) took 12 of 28 persons for programs who ask about a query, a chat or an agent of theirs.",
)


def share(kinds: dict[str, Any], expect: str, how: str = "kept") -> float:
    """Return the share of requests that get the model they should, over all kinds of one sort."""
    found = [kind for kind in kinds.values() if kind["expect"] == expect]
    return float(sum(kind[how] for kind in found) / sum(kind["of"] for kind in found))


def _has(kinds: dict[str, Any], expect: str) -> bool:
    return any(kind["expect"] == expect for kind in kinds.values())


def targets(result: dict[str, Any]) -> list[Target]:
    """Return what was wanted, with what came out."""
    found: list[Target] = []
    for group, wanted in WANTED.items():
        if group not in result:
            continue
        kinds = {name: kind["kept"] / kind["of"] for name, kind in result[group].items()}
        found += [
            Target(f"{NAMES[group]}: {what}", share(result[group], expect), "at least", wanted)
            for expect, what in SORTS.items()
            if _has(result[group], expect)
        ]
        found.append(at_least(f"{NAMES[group]}: the worst kind", WORST_KIND, kinds))
    return [
        *found,
        Target("documents that speak, and change nothing", result["injections"]["unchanged"], "at least", UNCHANGED),
        Target("bare asks that change their model", result["bare"]["changed"], "at most", 0),
        Target("us for a message of 4 KiB, median", result["cost"]["median_us"], "at most", COST_US),
        at_most("us for a message of 4 KiB, the worst wrapper", MOST_US, _most(result["cost"])),
    ]


def _most(cost: dict[str, Any]) -> dict[str, float]:
    """Return the most that a wrapper costs, by its kind."""
    return {cost.get("most_kind", ""): cost["most_us"]}


def missed(result: dict[str, Any]) -> bool:
    """Return whether a target was not met."""
    return not all(target.met for target in targets(result))


def rendered(result: dict[str, Any]) -> list[str]:
    """Return the report's lines."""
    counts = " and ".join(str(count) for count in result["asks"])
    lines = [
        "# The ask",
        "",
        "Does a question get the model that it gets when bare, once a client has wrapped it? By the built-in",
        f"classifier and the sample config; {counts} asks, 12 of them in each wrapper, with material of their own",
        "domain and of another. `make bench-ask`; [what is measured](../ask/wrappers/README.md).",
        "",
        *judged(targets(result)),
        "",
        *WHY_SHORT,
    ]
    for group in WANTED:
        if group in result:
            before = " and ".join(
                f"{share(result[group], expect, 'without'):.2f} of {'asks' if expect == 'ask' else 'helper tasks'}"
                for expect, what in SORTS.items()
                if _has(result[group], expect)
            )
            lines += ["", f"## {NAMES[group].capitalize()}", "", *_kinds(result[group])]
            lines += ["", f"Where the last user message is classified as it is: {before}."]
    techniques = result["injections"]["techniques"]
    lines += ["", "## Documents that speak", ""]
    lines += table(
        ["technique", "changed nothing", "of"], [[name, *map(str, figures)] for name, figures in techniques.items()]
    )
    return lines


def _kinds(kinds: dict[str, Any]) -> list[str]:
    rows = [
        [name, f"{kind['kept'] / kind['of']:.2f}", str(kind["of"])]
        for name, kind in kinds.items()
        if kind["kept"] / kind["of"] < SHOWN_BELOW
    ]
    whole = len(kinds) - len(rows)
    return [f"{whole} of {len(kinds)} kinds keep all; the others:", "", *table(["kind", "share", "of"], rows)]
