"""Implement `pointsman canary`: list, promote, roll back or restart the canaries of a running service."""

from __future__ import annotations

import argparse
import json
from typing import Any

from pointsman.cli.admin_client import AdminPort, ask, understood, warn_of_trouble


def run(options: argparse.Namespace) -> int:
    """Ask the running service; raises AdminError and ConfigError."""
    changes = options.action != "list"
    if changes is not (options.category is not None):
        options.parser.error("promote, rollback and restart need a CATEGORY, list takes none")
    port = AdminPort.of_service(options.config)
    with understood(port.address):
        if changes:
            told = ask(port, "POST", f"/canaries/{options.action}", {"category": options.category})
        else:
            told = ask(port, "GET", "/canaries")
        warn_of_trouble(told)
        canaries = told["canaries"]
        text = json.dumps(canaries, indent=2) if options.json else "\n".join(map(render, canaries))
    print(text)
    return 0


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
