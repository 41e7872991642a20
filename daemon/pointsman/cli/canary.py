"""Implement `pointsman canary`: list, promote, roll back or restart the canaries of a running service."""

from __future__ import annotations

import argparse
from typing import Any

from pointsman.cli.admin_client import AdminPort, ask, read, show, warn_of_trouble


def run(options: argparse.Namespace) -> int:
    """Ask the running service; raises AdminError and ConfigError."""
    if (options.action == "list") is not (options.category is None):
        options.parser.error("promote, rollback and restart need a CATEGORY, list takes none")
    return show(options, lambda port: _answer(port, options), lambda canaries: map(render, canaries))


def _answer(port: AdminPort, options: argparse.Namespace) -> Any:
    if options.action == "list":
        told = read(port, "GET", "/canaries")
    else:
        told = ask(port, "POST", f"/canaries/{options.action}", {"category": options.category})
    warn_of_trouble(told)
    return told["canaries"]


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
