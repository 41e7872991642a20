"""Implement `pointsman adapters`: list, load and unload the adapters of a running service's vLLM."""

from __future__ import annotations

import argparse
import json

from pointsman.adapters.inventory import render, render_change
from pointsman.cli.admin_client import AdminPort, ask, understood


def run(options: argparse.Namespace) -> int:
    """Ask the running service; return 1 if an endpoint fails. Raises AdminError and ConfigError."""
    changes = options.action != "list"
    if changes is not (options.name is not None):
        options.parser.error("load and unload need a NAME, list takes none")
    port = AdminPort.of_service(options.config)
    with understood(port.address):
        if changes:
            body = {"name": options.name} | ({"force": True} if options.force else {})
            answer = ask(port, "POST", f"/adapters/{options.action}", body)
            failed, shown = any(answer["endpoints"].values()), render_change(answer, options.action)
        else:
            answer = ask(port, "GET", "/adapters")
            failed, shown = False, render(answer)
    print(json.dumps(answer, indent=2) if options.json else shown)
    return int(failed)
