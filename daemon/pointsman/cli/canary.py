"""Implement `pointsman canary`: list, promote, roll back or restart the canaries of a running service."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from pointsman.cli.admin_client import AdminPort, ask, read, show, warn_of_trouble
from pointsman.cli.question import at_a_terminal, confirm


def run(options: argparse.Namespace) -> int:
    """Ask the running service; raises AdminError and ConfigError."""
    if (options.action == "list") is not (options.category is None):
        options.parser.error("promote, rollback and restart need a CATEGORY, list takes none")
    return show(options, lambda port: _answer(port, options), lambda canaries: map(render, canaries))


def _answer(port: AdminPort, options: argparse.Namespace) -> Any:
    if options.action == "list":
        result = read(port, "GET", "/canaries")
    else:
        if options.action == "promote" and not options.yes and at_a_terminal():
            _confirm(port, options.category)
        result = ask(port, "POST", f"/canaries/{options.action}", {"category": options.category})
    warn_of_trouble(result)
    return result["canaries"]


def _confirm(port: AdminPort, category: str) -> None:
    """Ask whether to promote a canary; the service refuses one that does not exist."""
    canaries = [one for one in read(port, "GET", "/canaries")["canaries"] if one["category"] == category]
    experiments = read(port, "GET", "/experiments")["experiments"] if canaries else []
    for canary in canaries:
        found = [one for one in experiments if one["kind"] == "canary" and one["category"] == category]
        known = [render(canary), *(line for one in found for line in _compared(one))]
        confirm(f"Give {canary['adapter']} all of the conversations of {category}?", known)


def _compared(experiment: dict[str, Any]) -> Iterator[str]:
    """Yield each side of an experiment as a line for a terminal, and what is certain."""
    for side in experiment["sides"]:
        parts = [f"{side['conversations']:,} conversations"]
        if (failed := side["failed"]) is not None:
            parts.append(f"{failed['value']:.1%} failed ({failed['low']:.1%} to {failed['high']:.1%})")
        if side["first_byte_ms"] is not None:
            parts.append(f"first byte {side['first_byte_ms']['value']:,.0f} ms")
        if side["good"] or side["bad"]:
            parts.append(f"feedback {side['good']:,} good, {side['bad']:,} bad")
        yield f"  {side['name']}: {', '.join(parts)}"
    yield f"  verdict: {'; '.join(experiment['verdicts']) or 'not enough yet, no difference is certain'}"


def render(canary: dict[str, Any]) -> str:
    """Return a canary as a line for a terminal."""
    line = f"{canary['category']}: {canary['adapter']} gets {canary['percent']:g} % of the conversations"
    if canary["state"] != "trial":
        state = str(canary["state"]).replace("_", " ")
        line += f" ({state} by {'a command' if canary['by'] == 'command' else 'the service'})"
    if canary["why"]:
        line += f": {canary['why']}"
    if canary["conversations"]:
        counted = ", ".join(f"{count} {arm}" for arm, count in canary["conversations"].items())
        line += f"; counted: {counted}"
    return line
