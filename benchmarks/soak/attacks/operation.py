"""Attack what the operator runs: the reader of the log, vLLM, its adapters, the config, its signals."""

from __future__ import annotations

import asyncio
import itertools
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from soak.attacks.target import AttackedDaemon, again_and_again, together
from support.raw_client import ask, chat

LOUD = 8
"""Clients that fill the log while nobody reads it."""
DOWN_SECONDS, UP_SECONDS = 1.5, 4.0
HANGUP_SECONDS = 0.01
RELOADERS = 4
PATIENCE_SECONDS = 120.0


async def log_stands_still(target: AttackedDaemon) -> None:
    """Nobody reads the log, while clients fill it."""

    async def client() -> None:
        await ask(target.daemon.base_url, chat(), "User-Agent: " + "x" * 1000, source="127.0.7.1")
        target.did["request while nobody reads the log"] += 1

    target.log.reading.clear()
    try:
        await together(again_and_again(client, 0.01) for _ in range(LOUD))
    finally:
        target.log.reading.set()


async def restarts(target: AttackedDaemon) -> None:
    """Kill vLLM and start it again, or break its connections."""
    try:
        for number in itertools.count():
            if number % 3 == 2:
                await target.upstream.tell("reset")
                target.did["connections reset"] += 1
            else:
                await target.upstream.tell("die")
                await asyncio.sleep(DOWN_SECONDS)
                await target.upstream.tell("listen")
                target.did["vLLM restarted"] += 1
            await asyncio.sleep(UP_SECONDS)
    finally:
        await asyncio.shield(target.upstream.tell("listen"))


async def adapters(target: AttackedDaemon) -> None:
    """Unlist the adapters and list them again."""
    try:
        while True:
            await target.upstream.tell("unlist")
            target.did["adapters unlisted"] += 1
            await asyncio.sleep(UP_SECONDS)
            await target.upstream.tell("list")
            await asyncio.sleep(UP_SECONDS)
    finally:
        await asyncio.shield(target.upstream.tell("list"))


async def reloads(target: AttackedDaemon) -> None:
    """Reload with an artifact that hangs, then with others, bad and good; after each, with the first good one."""
    good, endless = target.artifacts["good"], "endless"
    others = itertools.cycle(name for name in target.artifacts if name not in {"good", endless})
    try:
        for name in itertools.chain([endless], others):
            for wanted in (name, "good"):
                _point_at(target.daemon.config, target.artifacts[wanted])
                status = await asyncio.to_thread(_reload, target.daemon.admin_url)
                target.did[f"reload, {wanted}: {status}"] += 1
    finally:
        _point_at(target.daemon.config, good)


async def hangups(target: AttackedDaemon) -> None:
    """Send SIGHUP without end, and ask for reloads meanwhile."""

    async def reloader() -> None:
        await asyncio.to_thread(_reload, target.daemon.admin_url)
        target.did["reload asked for"] += 1

    async def signals() -> None:
        target.daemon.process.send_signal(signal.SIGHUP)
        target.did["SIGHUP"] += 1

    asking = [again_and_again(reloader, 0.05) for _ in range(RELOADERS)]
    await together([again_and_again(signals, HANGUP_SECONDS), *asking])


def _point_at(config: Path, artifact: Path) -> None:
    """Replace the config by one that names another artifact."""
    tree: dict[str, Any] = yaml.safe_load(config.read_text())
    tree["classifier"]["category_model"]["model_id"] = str(artifact)
    replacement = config.with_suffix(".new")
    replacement.write_text(yaml.safe_dump(tree, sort_keys=False))
    replacement.replace(config)


def _reload(admin_url: str) -> str:
    """Return the status of a reload."""
    request = urllib.request.Request(admin_url + "/reload", method="POST")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
            return str(response.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError as error:
        return type(error).__name__
