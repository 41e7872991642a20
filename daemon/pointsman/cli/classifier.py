"""Implement `pointsman classifier`: list a running service's classifiers, put one to use, go back, discard one."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pointsman.cli.admin_client import AdminPort, ask, read, show, warn_of_trouble
from pointsman.config.overlay import moment


def run(options: argparse.Namespace) -> int:
    """Ask the running service; raises AdminError and ConfigError."""
    if options.artifact is not None and options.action not in ("promote", "discard"):
        options.parser.error("an ARTIFACT is for promote and discard alone")
    if options.artifact is None and options.action == "discard":
        options.parser.error("discard needs the name of an ARTIFACT")
    return show(options, lambda port: _answer(port, options), render)


def _answer(port: AdminPort, options: argparse.Namespace) -> dict[str, Any]:
    if options.action == "list":
        told = read(port, "GET", "/classifiers")
    else:
        name = options.artifact
        if name is not None and os.sep in name and options.action == "promote":
            name = str(Path(name).absolute())
        told = ask(port, "POST", f"/classifier/{options.action}", {} if name is None else {"artifact": name})
    warn_of_trouble(told)
    return told


def render(told: dict[str, Any]) -> Iterator[str]:
    """Yield the classifiers as lines for a terminal."""
    yield f"in use: {told['in_use']}"
    if told["promoted"]:
        when = moment(told["promoted"]["at"])
        yield f"promoted at {when}, in place of {told['config']}, which the config names"
    for one in told["artifacts"]:
        figures = ""
        if one["labelled"]:
            figures = f", right {one['right_before']} of {one['labelled']} before, {one['right_after']} after"
        yield f"  {one['name']}  {one['source']}{figures}"
