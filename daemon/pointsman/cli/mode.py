"""Implement `pointsman mode`: show or set at once how much a running service routes, without the config file."""

from __future__ import annotations

import argparse
import json
from typing import Any

from pointsman.cli.admin_client import AdminPort, ask, read, understood, warn_of_trouble


def run(options: argparse.Namespace) -> int:
    """Ask the running service; raises AdminError and ConfigError."""
    port = AdminPort.of_service(options.config)
    with understood(port.address):
        if options.mode is not None:
            warn_of_trouble(ask(port, "POST", "/mode", {"mode": options.mode}))
        answer = read(port, "GET", "/status")["routing"]
        text = json.dumps(answer, indent=2) if options.json else "\n".join(render(answer))
    print(text)
    return 0


def render(routing: dict[str, Any]) -> list[str]:
    """Return the modes as lines for a terminal."""
    by = f" (by `pointsman mode`; the config says {routing['configured']})" if routing["overridden"] else ""
    lines = [f"ROUTING  {_shown(routing)}{by}"]
    lines += [f"  {one['category']}: {_shown(one)}" for one in routing["categories"]]
    return lines


def _shown(one: dict[str, Any]) -> str:
    return one["mode"] if one["percent"] is None else f"{one['percent']:g} % of the conversations"
