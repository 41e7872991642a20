"""Render what was measured, and judge it."""

from __future__ import annotations

from typing import Any

from markdown import UNKNOWN, judged, table
from target import PerformanceTarget, at_least, at_most

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
SPEAK = "documents that speak, and change nothing"
SPOKEN = "documents that say an ask in the person's place, and change nothing"
MEDIAN = "us for a message of 4 KiB, median"
COST_US = 150
MAX_US = 3125
"""Of a message 64 KiB are searched, which may delay others by 50 ms: a sixteenth of that."""
# A row for each kind that keeps less than all of its asks.
SHOWN_BELOW = 1.0

# The search, quick rules, and the message as it is.
_WAYS = ("kept", "quick", "without")

_WORST = "the worst kind"
_WHY = {
    SORTS["ask"]: "in most of what is lost no part is found as the ask, so that the message stays whole, and what is "
    "around the ask leaves it without a category. Rules of form that find more asks lost those of persons who had "
    "written in such a form ([tried, not used](../../docs/ask.md#rules-of-form-tried-not-used)).",
    SORTS["default"]: "a task of a client that nobody listed is known by an order of no subject about what a user "
    "said, or about what stands under a name. To ask for less (any subject of the order, lines without a name) took "
    "persons for programs who ask about a query, a chat or an agent of theirs.",
    _WORST: "a kind is one form, so that for these reasons most of what it holds is lost, or nothing.",
}
_WHY_ONE = {
    SPEAK: "what a document says that has no mark around it, or closes that mark, cannot be told from the person's "
    "own words in all cases ([limits](../../docs/ask.md#limits)).",
    MEDIAN: "about half of it is the splitting into lines, labels and tags, an eighth the search for helper tasks, "
    "and the rest the reading of paragraphs. To look at fewer words would find fewer asks.",
}


def share(kinds: dict[str, Any], expect: str, way: str = "kept", *, astray: bool = False) -> float:
    """Return the share of requests that get the model they should, over all kinds of one sort.

    `astray`: those that get the adapter of another category.
    """
    found = [kind for kind in kinds.values() if kind["expect"] == expect]
    return float(sum((kind["astray"] if astray else kind)[way] for kind in found) / sum(kind["of"] for kind in found))


def _has(kinds: dict[str, Any], expect: str) -> bool:
    return any(kind["expect"] == expect for kind in kinds.values())


def targets(result: dict[str, Any]) -> list[PerformanceTarget]:
    """Return what was wanted, with what came out."""
    found: list[PerformanceTarget] = []
    for group, wanted in WANTED.items():
        if group not in result:
            continue
        kinds = {name: kind["kept"] / kind["of"] for name, kind in result[group].items()}
        found += [
            PerformanceTarget(f"{NAMES[group]}: {what}", share(result[group], expect), "at least", wanted)
            for expect, what in SORTS.items()
            if _has(result[group], expect)
        ]
        found.append(at_least(f"{NAMES[group]}: {_WORST}", WORST_KIND, kinds))
    cost = result["cost"]
    return [
        *found,
        PerformanceTarget(SPEAK, result["injections"]["unchanged"], "at least", 1.0),
        *_spoken(result),
        PerformanceTarget("bare asks that change their model", result["bare"]["changed"], "at most", 0),
        PerformanceTarget(MEDIAN, cost["median_us"], "at most", COST_US),
        at_most("us for a message of 4 KiB, the worst wrapper", MAX_US, {cost.get("most_kind", ""): cost["most_us"]}),
    ]


def _spoken(result: dict[str, Any]) -> list[PerformanceTarget]:
    if "spoken" not in result:
        return []
    return [PerformanceTarget(SPOKEN, result["spoken"]["unchanged"], "at least", 0.95)]


def unmet(result: dict[str, Any]) -> list[str]:
    """Return why targets are not met, once for all groups."""
    missing = [target.what for target in targets(result) if not target.met]
    lines: list[str] = []
    for what, reason in _WHY.items():
        groups = [name.removesuffix(f": {what}") for name in missing if name.endswith(f": {what}")]
        missing = [name for name in missing if not name.endswith(f": {what}")]
        lines += [f"- {what} ({'; '.join(groups)}): {reason}" for _ in groups[:1]]
    return [*lines, *(f"- {name}: {_WHY_ONE.get(name, UNKNOWN)}" for name in missing)]


def compared(result: dict[str, Any]) -> list[str]:
    """Return what each group keeps by the search, by quick rules in its place, and by neither."""
    rows = []
    for group in WANTED:
        for expect, what in (("ask", "asks"), ("default", "helper tasks")):
            if group in result and _has(result[group], expect):
                figures = [
                    share(result[group], expect, way, astray=astray) for astray in (False, True) for way in _WAYS
                ]
                rows.append([f"{NAMES[group]}, {what}", *(f"{figure:.3f}" for figure in figures)])
    return [
        "",
        "Beside [quick rules](../ask/quick_rules.py), written without sight of these wrappers and of the search, and",
        "the last user message as it is. What does not get the right model gets the default model, or the adapter of",
        "another category:",
        "",
        *table(
            ["", "right: the search", "quick rules", "as it is", "another: the search", "quick rules", "as it is"], rows
        ),
    ]


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
        "Why a target is not met:",
        "",
        *unmet(result),
        *compared(result),
    ]
    for group in WANTED:
        if group in result:
            share_without = share(result[group], "ask", "no_line")
            lines += ["", f"## {NAMES[group].capitalize()}", "", *_kinds(result[group])]
            lines += [
                "",
                f"Without the [line that asks](../../docs/ask.md#a-line-that-asks): {share_without:.3f} of asks.",
            ]
    techniques = result["injections"]["techniques"]
    lines += ["", "## Documents that speak", ""]
    lines += table(
        ["technique", "changed nothing", "of"], [[name, *map(str, figures)] for name, figures in techniques.items()]
    )
    lines += ["", f"{result['injections']['astray']:.1%} reached the adapter of another category."]
    if "spoken" in result:
        rows = [[name, *map(str, figures)] for name, figures in result["spoken"]["forms"].items()]
        lines += ["", "Documents of [spoken.yaml](../ask/spoken.yaml), by the form in which they say an ask:", ""]
        lines += table(["form", "changed nothing", "of"], rows)
    return lines


def _kinds(kinds: dict[str, Any]) -> list[str]:
    rows = [
        [name, f"{kind['kept'] / kind['of']:.2f}", str(kind["of"])]
        for name, kind in kinds.items()
        if kind["kept"] / kind["of"] < SHOWN_BELOW
    ]
    whole = len(kinds) - len(rows)
    return [f"{whole} of {len(kinds)} kinds keep all; the others:", "", *table(["kind", "share", "of"], rows)]
