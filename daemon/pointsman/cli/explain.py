"""Implement `pointsman explain`: show how a prompt would be routed, and why."""

from __future__ import annotations

import argparse
import asyncio

import msgspec

from pointsman.adapters.catalog import Served
from pointsman.app.prepare import prepare
from pointsman.config.load import default_path
from pointsman.routing.explain import describe, render
from pointsman.routing.formats import CHAT
from pointsman.routing.router import Router


def run(options: argparse.Namespace) -> int:
    """Print the decision for a text; raises CannotStart."""
    prepared = prepare(options.config or default_path())
    router = Router(prepared.config, prepared.classifier, Served)
    text = options.text.encode(errors="surrogateescape").decode(errors="replace")  # replace invalid UTF-8
    body = {"model": prepared.config.auto_model_name, "messages": [{"role": "user", "content": text}]}
    request = CHAT.parse(msgspec.json.encode(body))
    description = describe(router, request, asyncio.run(router.route(request)))
    prepared.classifier.close()
    print(msgspec.json.format(msgspec.json.encode(description)).decode() if options.json else render(description))
    return 0
