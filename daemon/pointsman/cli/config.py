"""Implement `pointsman config`: what a running service holds beside its config file, and which config it serves."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from pointsman.cli.admin_client import AdminPort, ask, read, show, warn_of_trouble
from pointsman.config.overlay import moment


def run(options: argparse.Namespace) -> int:
    """Ask the running service; raises AdminError and ConfigError."""
    if options.number is not None and (options.action != "rollback" or options.number < 0):
        options.parser.error("a number is for rollback alone, and 0 or more")
    if options.action == "overlay":
        form = "overlay" if options.json else "yaml"
        return show(options, lambda port: read(port, "GET", "/overlay")[form], str.splitlines)
    return show(options, lambda port: _answer(port, options), render)


def _answer(port: AdminPort, options: argparse.Namespace) -> dict[str, Any]:
    if options.action == "list":
        told = read(port, "GET", "/configs")
    else:
        body = {} if options.number is None else {"number": options.number}
        told = ask(port, "POST", f"/config/{options.action}", body)
    warn_of_trouble(told)
    return told


def render(told: dict[str, Any]) -> Iterator[str]:
    """Yield the kept configs as lines for a terminal, the newest first."""
    yield f"{'N':>2}  {'APPLIED':<19}  {'SHA-256':<12}"
    for one in told["configs"]:
        when = moment(one["at"])
        yield f"{one['number']:>2}  {when}  {one['sha256'][:12]}{'  in use' if one['in_use'] else ''}"
    if told["rolled_back"]:
        yield "rolled back, until `pointsman config follow` or until the file changes"
    if told.get("needs_restart"):
        yield f"in use after a restart: {', '.join(told['needs_restart'])}"
