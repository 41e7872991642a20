"""Render the result of a soak as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provenance import processor

RATIO = 2.0
"""The target: honest p99 under attack over that in quiet."""


def rendered(result: Mapping[str, Any]) -> list[str]:
    """Return the result as a page."""
    machine, found, resident = result["machine"], result["found"], result["found"]["resident_mib"]
    rows = {"none": found["quiet"], "any": found["attacked"], **found["attacks"]}
    descriptors = found["descriptors"]
    return [
        "# A soak with hostile clients",
        "",
        *([] if result["full"] else [f"**A short run of {result['seconds']:.0f} s: its figures are no result.**", ""]),
        f"One daemon with the default configuration and a toy classifier for {result['seconds']:.0f} s",
        f"(`make soak`). Honest clients send {result['rate']:.0f} small requests a second, half of them streams, a",
        "third to a named model, while attacks and quiet phases alternate. For comparison they send the same requests",
        "straight to vLLM's stand-in: what delays these, too, is not the daemon.",
        "",
        *_cores(result["own"], machine["cores"]),
        f"The machine: {processor(machine)}, `{' '.join(machine['flags'])}`,",
        f"{machine['system']}, load {result['load_before']} before. Python {result['python']},",
        f"commit {result['commit']}, {result['time']}.",
        "",
        f"**Faults: {len(result['faults'])}.**",
        *(f"\n- {fault}" for fault in result["faults"]),
        "",
        f"Of {found['requests']} requests, {found['sent_again']} were sent again by their client, since the kept",
        f"connection was closed. Under attack p50 is {_times(result['p50_ratio'])} and p99",
        f"{_times(result['p99_ratio'])} that in quiet (target of p99: at most {RATIO:g}). Times are in ms; lag is",
        "p99 of an event loop's lag, the daemon's by its metrics at most; the last column is the share of the time",
        "for which the daemon was runnable without a core.",
        "",
        "| attack | requests | p50 | p99 | max | direct p50 | direct p99 | client's lag | daemon's lag | it waits |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_row(name, row) for name, row in rows.items()),
        "",
        "| | MiB |",
        "| --- | ---: |",
        f"| resident at the start | {resident['start']} |",
        f"| quiet phases of the second quarter | {resident['second_quarter']} |",
        f"| quiet phases of the last quarter | {resident['last_quarter']} |",
        f"| most | {resident['most']} |",
        f"| start and `max_buffered_bytes` | {resident['base_and_max_buffered_bytes']} |",
        "",
        f"Descriptors: {descriptors['start']} at the start, {descriptors['most']} at most, {descriptors['end']} at the",
        "end.",
        f"Lines of the log that were dropped, while its reader stood still: {found['log_lines_dropped']}.",
        "",
        "What became of the honest requests, and what the attackers did:",
        "",
        "| attack | honest | hostile |",
        "| --- | --- | --- |",
        *(f"| {name} | {_counts(row['outcomes'])} | {_counts(row.get('did', {}))} |" for name, row in rows.items()),
    ]


def _cores(own: int, cores: int) -> list[str]:
    others = "Client, vLLM's stand-in and attackers (which run where nobody else wants to)"
    if own == cores:
        return [f"{others} share the core with the daemon."]
    return [
        f"The daemon has {own} of {cores} cores to itself, as attackers have machines of their own in truth.",
        f"{others} share the others.",
    ]


def _row(name: str, row: Mapping[str, Any]) -> str:
    waited = "" if row["daemon_without_a_core"] is None else f"{row['daemon_without_a_core']:.1%}"
    times = ("p50_ms", "p99_ms", "max_ms", "direct_p50_ms", "direct_p99_ms")
    keys = (*times, "clients_loop_lag_p99_ms", "daemons_loop_lag_p99_ms")
    cells = ["" if row[key] is None else f"{row[key]:g}" for key in keys]
    return f"| {name} | {row['timed']} | {' | '.join(cells)} | {waited} |"


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{what} {count}" for what, count in found.items())


def _times(ratio: float | None) -> str:
    return "?" if ratio is None else f"{ratio:g} times"
