"""`pointsman classifier` and a service: promoted, kept across a restart, and back, while requests go on."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from pointsman.classify.artifact import BUILTIN
from support.daemon import Daemon, run_daemon
from support.fake_vllm import run_fake_vllm
from support.service import CHAT, MEDICAL, chat, shipped_config

pytestmark = pytest.mark.heavy


async def command(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    whole = [sys.executable, "-m", "pointsman", "classifier", *arguments, "--config", str(daemon.config)]
    return await asyncio.to_thread(subprocess.run, whole, capture_output=True, text=True, check=False)


async def asked(daemon: Daemon) -> str:
    """The model that answers a medical question."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(daemon.base_url + CHAT, json=chat(MEDICAL)) as answer,
    ):
        return str(answer.headers["x-vsr-selected-model"])


async def test_a_command_promotes_an_artifact_and_goes_back(tmp_path: Path) -> None:
    state = tmp_path / "state"
    made = state / "improve" / "artifacts" / "copy"
    shutil.copytree(BUILTIN, made)
    manifest = json.loads((made / "pointsman.json").read_text())
    (made / "pointsman.json").write_text(json.dumps(manifest | {"created": "2026-02-01T00:00:00Z"}))
    env = {"STATE_DIRECTORY": str(state)}
    async with run_fake_vllm() as vllm:
        async with run_daemon(shipped_config(vllm.port), tmp_path, env=env) as daemon:
            done = await command(daemon)
            assert done.stdout.splitlines() == ["in use: builtin", f"  copy  {manifest['source']['name']}"]
            done = await command(daemon, "promote", "copy")
            assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"in use: {made}")
            assert await asked(daemon) == "medical-lora"
            again = await command(daemon, "promote", str(made))
            assert (again.returncode, "is the classifier in use" in again.stderr) == (1, True)
        async with run_daemon(shipped_config(vllm.port), tmp_path, env=env) as daemon:
            assert json.loads((await command(daemon, "--json")).stdout)["in_use"] == str(made)
            kept = await command(daemon, "discard", "copy")
            assert (kept.returncode, "copy is the classifier in use" in kept.stderr) == (1, True)
            assert (await command(daemon, "rollback")).stdout.startswith("in use: builtin\n")
            assert await asked(daemon) == "medical-lora"
            none = await command(daemon, "rollback")
            assert (none.returncode, "no classifier is promoted" in none.stderr) == (1, True)
            assert (await command(daemon, "list", "copy")).returncode == 2
            assert (await command(daemon, "discard")).returncode == 2
            assert (await command(daemon, "discard", "copy")).stdout == "in use: builtin\n"
            assert not made.exists()
    gone = await command(daemon)
    assert (gone.returncode, "no answer from the service's admin port" in gone.stderr) == (1, True)
