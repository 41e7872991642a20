"""Implement `pointsman adapters`: list, load and unload the adapters of a running service's vLLM."""

from __future__ import annotations

import argparse
import json
import sys

from pointsman.adapters.inventory import render, render_change
from pointsman.cli.admin_client import AdminError, AdminPort, ask


def run(options: argparse.Namespace) -> int:
    """Ask the running service; return 0 on success, 1 on failure; raises ConfigError."""
    changes = options.action != "list"
    if changes is not (options.name is not None):
        options.parser.error("load and unload need a NAME, list takes none")
    port = AdminPort.of_service(options.config)
    try:
        if changes:
            body = {"name": options.name} | ({"force": True} if options.force else {})
            answer = ask(port, "POST", f"/adapters/{options.action}", body)
            failed = any(answer["endpoints"].values())
        else:
            answer, failed = ask(port, "GET", "/adapters"), False
    except AdminError as error:
        print(f"pointsman: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        print(render_change(answer, options.action) if changes else render(answer))
    return int(failed)
