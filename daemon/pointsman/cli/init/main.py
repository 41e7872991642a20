"""Run `pointsman init`: query vLLM, write the config, print a summary. A config that would not load is not written."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

from pointsman import files
from pointsman.classify.artifact import BUILTIN, read_manifest
from pointsman.cli.init.card import read_cards
from pointsman.cli.init.plan import describe, plan
from pointsman.cli.init.served import Adapter, InitError, VllmInventory, ask_vllm
from pointsman.cli.init.text import ENDPOINT, remarks, render, shown
from pointsman.config import admin_address, load
from pointsman.config.model import Endpoint
from pointsman.config.secret import read_secret
from pointsman.errors import CannotStart, CommandFailed

UNIT = "pointsman.service"
# Of packages and `make install`, and of operators.
UNITS = ("/usr/lib/systemd/system", "/etc/systemd/system")


def init(vllm: str, output: Path | None, key_file: Path | None, *, force: bool, out: TextIO, err: TextIO) -> int:
    """Write a config for the vLLM at an address; return 0, or 1 with one line on `err` that says why."""
    try:
        _run(vllm, output or _default_output(), key_file, force=force, out=out)
    except (CommandFailed, CannotStart) as error:
        print(f"pointsman init: {error}", file=err)
        return 1
    return 0


def _default_output() -> Path:
    """Return the installed service's path for root if that folder exists, and otherwise the local one."""
    installed = os.geteuid() == 0 and load.INSTALLED.parent.is_dir()
    return load.INSTALLED if installed else load.LOCAL


def _run(vllm: str, output: Path, key_file: Path | None, *, force: bool, out: TextIO) -> None:
    if os.path.lexists(output) and not force:
        raise InitError(_taken(output))
    # An OpenAI client's base URL ends in /v1, but request paths already begin with it.
    endpoint = Endpoint(name=ENDPOINT, address=vllm.rstrip("/").removesuffix("/v1"))
    key = None if key_file is None else str(key_file.absolute())  # preserve links: rotating a key replaces one
    secret = None if key is None else read_secret(key, "--api-key-file")
    served = asyncio.run(ask_vllm(endpoint, secret))
    labels = read_manifest(BUILTIN).labels
    planned = plan(served, labels)
    cards, unread = read_cards({adapter.name: adapter.path for adapter in planned.unknown})
    described = describe(planned.unknown, cards, labels, [category.name for category in planned.categories])
    text = render(served, planned, described, endpoint, key)
    load.load_text(text, output)
    if len(text.encode()) > load.MAX_CONFIG_BYTES:
        raise InitError(f"the config would be larger than {load.MAX_CONFIG_BYTES:,} bytes; serve fewer adapters")
    _write(output, text, force=force)
    print("\n".join(_summary(served, remarks(planned, described), unread, endpoint, output)), file=out)


def _write(output: Path, text: str, *, force: bool) -> None:
    try:
        output.parent.mkdir(exist_ok=True)
        files.write(output, text.encode(), replace=force)
    except FileExistsError as error:
        raise InitError(_taken(output)) from error
    except OSError as error:
        raise InitError(f"{output}: cannot be written ({error.strerror}); check path and permissions") from error


def _taken(output: Path) -> str:
    return f"{output}: exists already; overwrite it with --force, or choose another file with -o"


def _summary(
    served: VllmInventory, comments: Mapping[Adapter, str], unread: Iterable[str], endpoint: Endpoint, output: Path
) -> Iterator[str]:
    version = f" {served.version}" if served.version else ""
    yield f"{output}: written for vLLM{version} at {endpoint.address}"
    for base in served.bases:
        yield f"  {shown(base)}" + ("  (default)" if base == served.default else "")
        yield from (f"    {shown(adapter.name)}  {shown(comments[adapter])}" for adapter in served.of(base))
    yield from map(shown, unread)
    if not served.adapters:
        yield "no adapter is served, so the base model answers everything: start vLLM with --enable-lora --lora-modules"
    yield f"next: `pointsman check {output}`, then `{_command(output)}`"


def _command(output: Path) -> str:
    """Return the command that serves with the file: systemd's for the file of an installed unit."""
    if output != load.INSTALLED or not any(Path(folder, UNIT).exists() for folder in UNITS):
        return f"pointsman serve --config {output}"
    runs = admin_address.INSTALLED_SOCKET.parent.exists()
    return f"systemctl restart {UNIT}" if runs else f"systemctl enable --now pointsman.socket {UNIT}"
