"""A second classifier in shadow of the one that decides, on a running service."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pointsman.classify.manifest import MODEL, TOKENIZER
from support import toy_artifact
from support.adapter_world import World, run_world
from support.config_files import LABELS
from support.metrics import until
from support.process import eventually
from support.service import TECHNICAL
from support.two_sides import put, reload

# Of its process, which runs where nobody else wants the core.
LOADED_SECONDS = 120.0


def artifacts(folder: Path) -> tuple[str, str]:
    """Two that differ in whether JavaScript is computer science or law."""
    made = []
    for name, javascript in (("first", "computer science"), ("second", "law")):
        words = {**toy_artifact.WORDS, "javascript": javascript}
        contents = {MODEL: toy_artifact.model(LABELS, words), TOKENIZER: toy_artifact.tokenizer(words)}
        made.append(str(toy_artifact.build(folder / name, contents)))
    return made[0], made[1]


def processes(parent: int) -> Iterator[int]:
    """The processes of the classifiers in shadow that a process has."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command, stat = (entry / "cmdline").read_bytes(), (entry / "stat").read_text()
        except OSError:
            continue
        if b"pointsman.classify.shadow" in command and int(stat.rpartition(")")[2].split()[1]) == parent:
            yield int(entry.name)


async def said(world: World, *arguments: str) -> str:
    command = [sys.executable, "-m", "pointsman", *arguments, "--config", str(world.service.daemon.config)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


async def report(world: World) -> dict[str, Any]:
    found: dict[str, Any] = (await world.service.get("/status", admin=True)).json["shadow"]
    return found


async def test_an_operator_sees_where_a_candidate_differs_and_no_client_sees_that_there_is_one(tmp_path: Path) -> None:
    """Its process may be killed; a reload starts it again, or without it if the config says so."""
    first, second = artifacts(tmp_path)

    def change(config: dict[str, Any]) -> None:
        config["classifier"]["category_model"]["model_id"] = first
        config["pointsman"]["classifier"]["shadow"] = second

    async with run_world(tmp_path, change=change) as world:
        daemon = world.service.daemon
        await daemon.logged("shadow", state="running", artifact="second", timeout_s=LOADED_SECONDS)
        for text in (TECHNICAL, TECHNICAL, "Fix my python"):
            answer = await world.ask(text)
            assert (answer.json["model"], answer.headers["x-pointsman-reason"]) == ("technical-lora", "classified")
        await until(daemon, "shadow_texts_total", 1, outcome="agreed", timeout_s=LOADED_SECONDS)
        await until(daemon, "shadow_pairs_total", 1, category="technical", shadow="legal")
        await until(daemon, "shadow_up", 1)
        found = await report(world)
        assert (found["compared"], found["agreed"]["texts"], found["rerouted"]["texts"]) == (2, 1, 1)
        shown = await said(world, "status")
        assert "SHADOW  second, running; agrees on 50.0 % (9.4 to 90.5) of 2 texts" in shown, shown

        tried = await said(world, "explain", TECHNICAL)
        assert "in shadow  legal-lora (legal, classified, confidence " in tried
        assert (await report(world))["compared"] == 2

        (pid,) = processes(daemon.process.pid)
        os.kill(pid, signal.SIGKILL)
        assert (await world.ask("blood pressure")).json["model"] == "medical-lora"
        line = await daemon.logged("shadow", state="stopped", timeout_s=LOADED_SECONDS)
        assert (line["level"], "reload the service to start it" in line["message"]) == ("warning", True)
        await until(daemon, "shadow_up", 0)
        shown = await said(world, "status")
        assert "SHADOW  second, stopped; agrees on 50.0 %" in shown, shown
        assert "\n  ended by signal 9\n" in shown

        assert (await reload(daemon))[0] == 200
        await until(daemon, "shadow_up", 1, timeout_s=LOADED_SECONDS)
        assert (await report(world))["compared"] == 0
        config = yaml.safe_load(daemon.config.read_text())
        del config["pointsman"]["classifier"]["shadow"]
        put(daemon.config, config)
        await reload(daemon)
        assert await report(world) is None
        await eventually(lambda: not list(processes(daemon.process.pid)), "its process ended")
    assert len([line for line in daemon.log_lines() if line["event"] == "shadow"]) == 3
