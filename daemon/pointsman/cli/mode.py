"""Implement `pointsman mode`: show or set at once how much a running service routes, without the config file."""

from __future__ import annotations

import argparse
from typing import Any

from pointsman.cli.admin_client import AdminPort, ask, read, show, warn_of_trouble


def run(options: argparse.Namespace) -> int:
    """Ask the running service; raises AdminError and ConfigError."""
    return show(options, lambda port: _answer(port, options.mode), render)


def _answer(port: AdminPort, mode: str | None) -> Any:
    if mode is not None:
        warn_of_trouble(ask(port, "POST", "/mode", {"mode": mode}))
    return read(port, "GET", "/status")["routing"]


def render(routing: dict[str, Any]) -> list[str]:
    """Return the modes as lines for a terminal."""
    by = f" (by `pointsman mode`; the config says {routing['configured']})" if routing["overridden"] else ""
    lines = [f"ROUTING  {_shown(routing)}{by}"]
    lines += [f"  {one['category']}: {_shown(one)}" for one in routing["categories"]]
    return lines


def _shown(one: dict[str, Any]) -> str:
    return one["mode"] if one["percent"] is None else f"{one['percent']:g} % of the conversations"
