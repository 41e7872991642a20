"""Implement `pointsman config`: print what a running service holds beside its config file."""

from __future__ import annotations

import argparse

from pointsman.cli.admin_client import read, show


def run(options: argparse.Namespace) -> int:
    """Ask the running service; raises AdminError and ConfigError."""
    form = "overlay" if options.json else "yaml"
    return show(options, lambda port: read(port, "GET", "/overlay")[form], str.splitlines)
