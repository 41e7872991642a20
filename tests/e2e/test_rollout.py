"""A rollout on a running service: the mode is set by a command, and survives a restart."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from unittest.mock import patch

import aiohttp
import yaml

from support.command import run_here
from support.daemon import Daemon, run_daemon
from support.fake_vllm import run_fake_vllm
from support.lora_vllm import BASE, LoraVllm
from support.process import eventually
from support.quick_config import quick_config
from support.service import CHAT, TECHNICAL, chat


async def pointsman(daemon: Daemon, *arguments: str, **env: str) -> str:
    with patch.dict(os.environ, env):
        done = await asyncio.to_thread(run_here, *arguments, "--config", daemon.config)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


async def answered(daemon: Daemon) -> tuple[str, str]:
    """The model that answers, and why."""
    async with aiohttp.ClientSession() as http, http.post(daemon.base_url + CHAT, json=chat(TECHNICAL)) as answer:
        return (await answer.json())["model"], answer.headers["x-pointsman-reason"]


async def test_commands_find_the_service_though_its_file_names_another_port_or_nothing_at_all(tmp_path: Path) -> None:
    """Another admin address waits for a restart, and a file that cannot be read is not served."""
    env = {"STATE_DIRECTORY": str(tmp_path / "state")}
    async with run_fake_vllm(LoraVllm()) as vllm, run_daemon(quick_config(vllm.port), tmp_path, env=env) as daemon:
        tree = yaml.safe_load(daemon.config.read_text())
        tree["pointsman"]["server"]["admin_listen"] = f"unix:{tmp_path}/admin.sock"
        daemon.config.write_text(yaml.safe_dump(tree))
        reply = await daemon.logged("reload")
        assert reply["needs_restart"] == ["pointsman.server.admin_listen"]
        assert await pointsman(daemon, "mode", **env) == "ROUTING  on\n"
        daemon.config.write_text("vllm_endpoints: {")
        assert await pointsman(daemon, "mode", "shadow", **env)
        assert await answered(daemon) == (BASE, "shadow")


async def test_feedback_on_an_answer_is_compared(tmp_path: Path) -> None:
    """From the header of an answer to the screen, over a restart; a second opinion on the same answer is refused."""
    async with run_fake_vllm(LoraVllm()) as vllm:
        config = quick_config(vllm.port)
        options = config.setdefault("pointsman", {})
        options["routing"] = {"mode": "percent", "percent": 0}
        options["log"] = {"feedback_file": "feedback.jsonl"}
        env = {"STATE_DIRECTORY": str(tmp_path / "state")}
        answers = []
        async with run_daemon(config, tmp_path, env=env) as daemon, aiohttp.ClientSession() as http:
            for score in (0.25, 0.75):
                async with http.post(daemon.base_url + CHAT, json=chat(f"{TECHNICAL} {score}")) as answer:
                    answers.append({"request_id": answer.headers["x-request-id"], "score": score, "label": "fine"})
            log = daemon.log
        async with run_daemon(config, tmp_path, env=env) as daemon, aiohttp.ClientSession() as http:
            for said in answers:
                for status in (200, 409):
                    async with http.post(daemon.base_url + "/v1/feedback", json=said) as reply:
                        assert reply.status == status, await reply.text()
            feedback = daemon.config.parent / "feedback.jsonl"
            await eventually(lambda: feedback.read_bytes().count(b"\n") == 2, "the feedback is written")
            shown = await pointsman(daemon, "compare", "holdback", "routed", "--log", str(log))
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "score 0.50 (0.01 to 0.99) -" in lines
    assert "labeled fine 100.0 % (34.2 to 100.0) -" in lines
