"""Implement `pointsman mode`: show or set at once how much a running service routes, without the config file."""

from __future__ import annotations

import argparse
from typing import Any

from pointsman.cli.admin_client import AdminPort, ask, read, show, warn_of_trouble
from pointsman.config.overlay import moment


def run(options: argparse.Namespace) -> int:
    """Ask the running service; raises AdminError and ConfigError."""
    if options.seconds is not None and options.mode in {None, "config"}:
        options.parser.error("--for is of off, shadow and on")
    return show(options, lambda port: _answer(port, options.mode, options.seconds), render)


def _answer(port: AdminPort, mode: str | None, seconds: int | None) -> Any:
    wanted: dict[str, Any] = {"mode": mode}
    if seconds is not None:
        _ = read(port, "GET", "/status")["routing"]["until"]  # a release without it would set the mode forever
        wanted["seconds"] = seconds
    if mode is not None:
        warn_of_trouble(ask(port, "POST", "/mode", wanted))
    return read(port, "GET", "/status")["routing"]


def render(routing: dict[str, Any]) -> list[str]:
    """Return the modes as lines for a terminal."""
    by = ""
    if routing.get("until") is not None:  # missing in a service that was not restarted after an upgrade
        by = f" until {moment(routing['until'])} (by `pointsman mode`; then {routing['then']})"
    elif routing["overridden"]:
        by = f" (by `pointsman mode`; the config says {routing['configured']})"
    lines = [f"ROUTING  {_shown(routing)}{by}"]
    lines += [f"  {one['category']}: {_shown(one)}" for one in routing["categories"]]
    return lines


def _shown(one: dict[str, Any]) -> str:
    return one["mode"] if one["percent"] is None else f"{one['percent']:g} % of the conversations"
