"""Render the result as a Markdown page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from markdown import table
from provenance import processor


def rendered(result: dict[str, Any]) -> list[str]:
    """Return the lines of the page."""
    load = result["load"]
    return [
        "# The language gate",
        "",
        "What the gate of a classifier for English stops, lets pass and costs (`make bench-languages`), on",
        f"{processor(result['machine'])}, Python {result['python']}, commit {result['commit']}.",
        "The asks are written by hand. Half of them, chosen by hash, were kept apart when the gate was tuned. But the",
        "choice of the identifier saw all, and one text of that half showed a fault that was fixed (Greek symbols).",
        "",
        "## Asks in other languages: caught",
        "",
        "Short asks have 3 to 15 words, long ones several sentences, mixed ones English terms, code or quotes.",
        "",
        *table(["kind", "tuned on", "held out"], _halves(result["foreign"])),
        "",
        "By language, without the mixed ones. Named: the gate gives the right language; precision: of the asks that it",
        "gives this language, those that are in it.",
        "",
        *table(
            ["language", "tuned on", "held out", "caught", "named", "precision"],
            [
                [
                    name,
                    _of(row["tuned"]),
                    _of(row["held_out"]),
                    f"{_share(_sum(row)):.3f}",
                    _of([row["named"], _sum(row)[1]]),
                    f"{row['precision']:.3f}",
                ]
                for name, row in result["languages"].items()
            ],
        ),
        "",
        "## English, and texts without a language: stopped",
        "",
        *table(["kind", "tuned on", "held out"], _halves(result["english"])),
        "",
        *_users(result.get("users", {})),
        "## Another language declared",
        "",
        "Asks in a language that are stopped where an artifact declares that language alone: "
        + "; ".join(f"{name} {_of(found)}" for name, found in result["declared"].items() if found[0])
        + f"{'none' if not any(found[0] for found in result['declared'].values()) else ''} of "
        f"{sum(found[1] for found in result['declared'].values())}.",
        "",
        *_catalogues(result["catalogues"]),
        "",
        "## Cost",
        "",
        f"Loading takes {load['cpu_s']} s of CPU and {load['mib']} MiB. A cached text costs nothing. Target: under",
        "300 µs a text; best of 20 for each, and once behind a run of the built-in classifier, which leaves nothing of",
        "the gate in the CPU's caches.",
        "",
        *table(
            ["texts", "number", "p50 µs", "p99 µs", "max µs"],
            [
                [name, f"{row['texts']:,}", f"{row['p50_us']:.0f}", f"{row['p99_us']:.0f}", f"{row['max_us']:.0f}"]
                for name, row in result["cost"].items()
            ],
        ),
        *_peers(result.get("peers", {})),
    ]


def _catalogues(found: dict[str, int]) -> list[str]:
    if not found["messages"]:
        return ["## Messages of programs", "", "None: this host has no programs that were translated."]
    return [
        "## Messages of programs",
        "",
        "What the programs of this host say in other languages, by gettext's catalogues in /usr/share/locale. They are",
        "full of names, commands and places for values.",
        "",
        f"{found['messages']:,} messages of 25 to 300 characters in {found['languages']} languages:",
        f"{found['stopped'] / found['messages']:.1%} are stopped, and {found['english']} pass for English.",
    ]


def _halves(rows: dict[str, dict[str, list[int]]]) -> Iterable[list[str]]:
    yield from ([name, _of(row["tuned"]), _of(row["held_out"])] for name, row in rows.items())
    yield [
        "all",
        *(_of([sum(row[half][i] for row in rows.values()) for i in (0, 1)]) for half in ("tuned", "held_out")),
    ]


def _users(users: dict[str, dict[str, Any]]) -> list[str]:
    if not users:
        return []
    rows = [
        [name, f"{row['prompts']:,}", str(row["stopped"]), f"{row['stopped'] / row['prompts']:.3%}"]
        for name, row in users.items()
    ]
    return [
        "Users' prompts, which are English but for a few:",
        "",
        *table(["file", "prompts", "stopped", "share"], rows),
        "",
    ]


def _peers(peers: dict[str, dict[str, Any]]) -> list[str]:
    if not peers:
        return []
    rows = [
        [name, "", "", "not installed"]
        if "missing" in row
        else [name, f"{row['caught']:.3f}", f"{row['worst'][0]} {row['worst'][1]:.2f}", f"{row['cpu_us']:.0f}"]
        for name, row in peers.items()
    ]
    return [
        "",
        "## Peers",
        "",
        "Each with the threshold at which it stops one in 1,000 of users' prompts.",
        "",
        *table(["peer", "caught", "worst language", "CPU, µs a prompt"], rows),
    ]


def _sum(row: dict[str, Any]) -> list[int]:
    return [row["tuned"][i] + row["held_out"][i] for i in (0, 1)]


def _share(found: list[int]) -> float:
    return found[0] / found[1]


def _of(found: list[int]) -> str:
    return f"{found[0]} of {found[1]}"
