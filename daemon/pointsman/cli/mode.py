"""Implement `pointsman mode`: show or set at once how much a running service routes, without the config file."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from pointsman.cli.admin_client import FORM_ERRORS, AdminError, AdminPort, ask, read, strange


def run(options: argparse.Namespace) -> int:
    """Ask the running service; return 0 on success, 1 on failure; raises ConfigError."""
    port = AdminPort.of_service(options.config)
    try:
        if options.mode is not None:
            told = ask(port, "POST", "/mode", {"mode": options.mode})
            if told.get("trouble"):
                print(f"pointsman: warning: {told['trouble']}", file=sys.stderr)
        answer = read(port, "GET", "/status")["routing"]
        print(json.dumps(answer, indent=2) if options.json else "\n".join(render(answer)))
    except AdminError as error:
        print(f"pointsman: {error}", file=sys.stderr)
        return 1
    except FORM_ERRORS as error:
        print(f"pointsman: {strange(port.address)} ({error})", file=sys.stderr)
        return 1
    return 0


def render(routing: dict[str, Any]) -> list[str]:
    """Return the modes as lines for a terminal."""
    by = f" (by `pointsman mode`; the config says {routing['configured']})" if routing["overridden"] else ""
    lines = [f"ROUTING  {_shown(routing)}{by}"]
    lines += [f"  {one['category']}: {_shown(one)}" for one in routing["categories"]]
    return lines


def _shown(one: dict[str, Any]) -> str:
    return one["mode"] if one["percent"] is None else f"{one['percent']:g} % of the conversations"
