"""A rollout on a running service: the mode is set by a command, and survives a restart."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import aiohttp

from support.daemon import Daemon, run_daemon
from support.fake_vllm import run_fake_vllm
from support.lora_vllm import BASE, LoraVllm
from support.service import CHAT, TECHNICAL, chat, shipped_config


async def pointsman(daemon: Daemon, *arguments: str) -> str:
    command = [sys.executable, "-m", "pointsman", *arguments, "--config", str(daemon.config)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


async def answered(daemon: Daemon) -> tuple[str, str]:
    """The model that answers, and why."""
    async with aiohttp.ClientSession() as http, http.post(daemon.base_url + CHAT, json=chat(TECHNICAL)) as answer:
        return (await answer.json())["model"], answer.headers["x-pointsman-reason"]


async def test_a_command_sets_the_mode_at_once_and_for_the_next_start(tmp_path: Path) -> None:
    env = {"STATE_DIRECTORY": str(tmp_path / "state")}
    async with run_fake_vllm(LoraVllm()) as vllm:
        config = shipped_config(vllm.port)
        async with run_daemon(config, tmp_path, env=env) as daemon:
            assert await answered(daemon) == ("technical-lora", "classified")
            assert await pointsman(daemon, "mode") == "ROUTING  on\n"
            shown = "ROUTING  shadow (by `pointsman mode`; the config says on)\n"
            assert await pointsman(daemon, "mode", "shadow") == shown
            assert await answered(daemon) == (BASE, "shadow")
            assert await pointsman(daemon, "config", "overlay") == "pointsman:\n  routing:\n    mode: shadow\n"
        async with run_daemon(config, tmp_path, env=env) as daemon:
            assert await answered(daemon) == (BASE, "shadow")
            assert await pointsman(daemon, "mode", "off")
            assert await answered(daemon) == (BASE, "off")
            assert await pointsman(daemon, "mode", "config") == "ROUTING  on\n"
            assert await answered(daemon) == ("technical-lora", "classified")
