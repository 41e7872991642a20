"""Implement `pointsman explain`: show how a request would be routed, and why.

The running service answers; if none runs, this process does, by the config.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

import msgspec

from pointsman import files
from pointsman.adapters.catalog import ServedModels
from pointsman.api.admin import MAX_ADMIN_BODY_BYTES
from pointsman.api.dry_run import dry_run
from pointsman.app.prepare import prepare
from pointsman.cli.admin_client import AdminPort, NoService, read, understood
from pointsman.config.load import default_path, state_of
from pointsman.errors import CommandFailed, RequestError
from pointsman.routing.body import read_fields
from pointsman.routing.explain import describe, render
from pointsman.routing.router import Router
from pointsman.routing.steps import finish

STANDARD_INPUT = Path("-")


class _UnreadableRequest(CommandFailed):
    """The request cannot be read; the message says why."""


def run(options: argparse.Namespace) -> int:
    """Print the decision; raises CommandFailed if the request or the answer is unusable, and CannotStart."""
    if (options.text is None) is (options.request is None):
        options.parser.error("give either a TEXT or --request FILE")
    body = _chat(options.text) if options.request is None else _request(options.request)
    path = options.config or default_path()
    port = AdminPort.of_service(path)
    online = None if options.offline else _asked(port, body)
    description = _offline(path, body) if online is None else online
    description["service"] = None if online is None else port.address
    print(_text(description, port.address, as_json=options.json))
    return 0


def _chat(text: str) -> bytes:
    text = text.encode(errors="surrogateescape").decode(errors="replace")  # replace invalid UTF-8
    return msgspec.json.encode({"model": "auto", "messages": [{"role": "user", "content": text}]})


def _request(file: Path) -> bytes:
    """Return the body in a file or on standard input; raises _UnreadableRequest."""
    name = "standard input" if file == STANDARD_INPUT else str(file)
    try:
        body = _standard_input() if file == STANDARD_INPUT else files.read(file, MAX_ADMIN_BODY_BYTES)
        _ = finish(read_fields(body)).model
    except OSError as error:
        fix = f"name a file of at most {MAX_ADMIN_BODY_BYTES:,} bytes, or - for standard input"
        raise _UnreadableRequest(f"{name}: {error.strerror}; {fix}") from error
    except RequestError as error:
        raise _UnreadableRequest(f"{name}: {error}; it must be the JSON body of a request") from error
    return body


def _standard_input() -> bytes:
    with open(0, "rb", closefd=False) as stream:
        body = stream.read(MAX_ADMIN_BODY_BYTES + 1)
    if len(body) > MAX_ADMIN_BODY_BYTES:
        raise OSError(0, f"it is larger than {MAX_ADMIN_BODY_BYTES:,} bytes")
    return body


def _asked(port: AdminPort, body: bytes) -> dict[str, Any] | None:
    """Return the running service's answer, or None if none runs; raises AdminError."""
    try:
        return read(port, "POST", "/route", body)
    except NoService:
        return None


def _offline(path: Path, body: bytes) -> dict[str, Any]:
    prepared = prepare(path, state=state_of(path))
    router = Router(prepared.config, prepared.classifier, ServedModels)
    try:
        parsed, routed = asyncio.run(dry_run(router, body))
        return describe(router, parsed, routed)
    finally:
        prepared.classifier.encoder.close()


def _text(description: dict[str, Any], address: str, *, as_json: bool) -> str:
    if as_json:
        return msgspec.json.format(msgspec.json.encode(description)).decode()
    offline = f"offline, without the service at {address}: every adapter counts as served"
    with understood(address):
        return f"service    {description['service'] or offline}\n{render(description)}"
