"""`pointsman classifier` and a service: promoted, kept across a restart, and back, while requests go on."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import aiohttp
import pytest

from support import toy_artifact
from support.command import run_here
from support.daemon import Daemon, run_daemon
from support.fake_vllm import run_fake_vllm
from support.service import CHAT, MEDICAL, chat, shipped_config

pytestmark = pytest.mark.heavy


async def command(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(run_here, "classifier", *arguments, "--config", daemon.config)


async def asked(daemon: Daemon) -> str:
    """The model that answers a medical question."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(daemon.base_url + CHAT, json=chat(MEDICAL)) as answer,
    ):
        return str(answer.headers["x-vsr-selected-model"])


async def test_a_command_promotes_an_artifact_and_goes_back(tmp_path: Path) -> None:
    state = tmp_path / "state"
    made = toy_artifact.build_measured(state / "improve" / "artifacts" / "fitted")
    env = {"STATE_DIRECTORY": str(state)}
    async with run_fake_vllm() as vllm:
        async with run_daemon(shipped_config(vllm.port), tmp_path, env=env) as daemon:
            done = await command(daemon)
            assert done.stdout.splitlines() == ["in use: builtin", "  fitted  toy"]
            done = await command(daemon, "promote", "fitted")
            assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"in use: {made}")
            assert await asked(daemon) == "medical-lora"
            again = await command(daemon, "promote", str(made))
            assert (again.returncode, "is the classifier in use" in again.stderr) == (1, True)
        async with run_daemon(shipped_config(vllm.port), tmp_path, env=env) as daemon:
            assert json.loads((await command(daemon, "--json")).stdout)["in_use"] == str(made)
            discarded = await command(daemon, "discard", "fitted")
            assert (discarded.returncode, "fitted is the classifier in use" in discarded.stderr) == (1, True)
            assert (await command(daemon, "rollback")).stdout.startswith("in use: builtin\n")
            assert await asked(daemon) == "medical-lora"
            none = await command(daemon, "rollback")
            assert (none.returncode, "no classifier is promoted" in none.stderr) == (1, True)
            assert (await command(daemon, "list", "fitted")).returncode == 2
            assert (await command(daemon, "discard")).returncode == 2
            assert (await command(daemon, "discard", "fitted")).stdout == "in use: builtin\n"
            assert not made.exists()
    gone = await command(daemon)
    assert (gone.returncode, "no answer from the service's admin port" in gone.stderr) == (1, True)
