"""Implement `pointsman config`: what a running service holds beside its config file."""

from __future__ import annotations

import argparse
import json
import sys

from pointsman.cli.admin_client import FORM_ERRORS, AdminError, AdminPort, read, strange
from pointsman.config.load import default_path, load


def run(options: argparse.Namespace) -> int:
    """Print the overlay as YAML; return 0 on success, 1 on failure; raises ConfigError."""
    port = AdminPort.of(load(options.config or default_path()).config.pointsman.server)
    try:
        told = read(port, "GET", "/overlay")
        print(json.dumps(told["overlay"], indent=2) if options.json else told["yaml"], end="\n" if options.json else "")
    except AdminError as error:
        print(f"pointsman: {error}", file=sys.stderr)
        return 1
    except FORM_ERRORS:
        print(f"pointsman: {strange(port.address)}", file=sys.stderr)
        return 1
    return 0
