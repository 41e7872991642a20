"""Implement `pointsman canary`: list, promote, roll back or restart the canaries of a running service."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from pointsman.cli.admin_client import FORM_ERRORS, AdminError, AdminPort, ask, strange


def run(options: argparse.Namespace) -> int:
    """Ask the running service; return 0 on success, 1 on failure; raises ConfigError."""
    changes = options.action != "list"
    if changes is not (options.category is not None):
        options.parser.error("promote, rollback and restart need a CATEGORY, list takes none")
    port = AdminPort.of_service(options.config)
    try:
        if changes:
            told = ask(port, "POST", f"/canaries/{options.action}", {"category": options.category})
        else:
            told = ask(port, "GET", "/canaries")
        if changes and told["trouble"]:
            print(f"pointsman: warning: {told['trouble']}", file=sys.stderr)
        print(json.dumps(told["canaries"], indent=2) if options.json else "\n".join(map(render, told["canaries"])))
    except AdminError as error:
        print(f"pointsman: {error}", file=sys.stderr)
        return 1
    except FORM_ERRORS:
        print(f"pointsman: {strange(port.address)}", file=sys.stderr)
        return 1
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
