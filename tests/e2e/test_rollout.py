"""A rollout on a running service: the mode is set by a command, and survives a restart."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
import yaml

from support.command import run_here
from support.daemon import Daemon, on_ports, run_daemon
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


async def test_a_command_sets_the_mode_at_once_and_for_the_next_start(tmp_path: Path) -> None:
    env = {"STATE_DIRECTORY": str(tmp_path / "state")}
    async with run_fake_vllm(LoraVllm()) as vllm:
        config = quick_config(vllm.port)
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


async def test_a_mode_with_an_end_survives_a_restart_and_ends(tmp_path: Path) -> None:
    """Here while the service is stopped: its time is moved in the file."""
    state = tmp_path / "state"
    env = {"STATE_DIRECTORY": str(state)}
    async with run_fake_vllm(LoraVllm()) as vllm:
        config = quick_config(vllm.port)
        async with run_daemon(config, tmp_path, env=env) as daemon:
            shown = await pointsman(daemon, "mode", "off", "--for", "1h")
            assert shown.startswith("ROUTING  off until 20")
            assert shown.endswith(" (by `pointsman mode`; then on)\n")
            assert await answered(daemon) == (BASE, "off")
        async with run_daemon(config, tmp_path, env=env) as daemon:
            assert await answered(daemon) == (BASE, "off")
            assert await pointsman(daemon, "mode") == shown
        timed = json.loads((state / "timed_mode.json").read_text())
        (state / "timed_mode.json").write_text(json.dumps(timed | {"until": time.time() - 1}))
        async with run_daemon(config, tmp_path, env=env) as daemon:
            assert await answered(daemon) == ("technical-lora", "classified")
            assert await pointsman(daemon, "mode") == "ROUTING  on\n"
            await daemon.logged("overlay", by="end of the mode")


async def test_how_to_keep_former_routes_is_told_by_the_first_start_with_a_state_directory_alone(
    tmp_path: Path,
) -> None:
    """Without one by each; who has set a precision, even to none, is not told."""
    state, nowhere = {"STATE_DIRECTORY": str(tmp_path / "state")}, {"STATE_DIRECTORY": ""}
    async with run_fake_vllm() as vllm:
        config = quick_config(vllm.port)
        settled = config | {"pointsman": {"routing": {"precision": None}}}
        config.pop("pointsman", None)
        del config["classifier"]["category_model"]["threshold"]

        async def reply(config: Any, env: dict[str, str]) -> int:
            async with run_daemon(config, tmp_path, env=env) as daemon:
                pass
            return daemon.log_text().count("is now the threshold of each category")

        assert [await reply(config, env) for env in (state, state, nowhere, nowhere)] == [1, 0, 1, 1]
        assert await reply(settled, nowhere) == 0
        other = {"STATE_DIRECTORY": str(tmp_path / "other")}
        silent = config | {"pointsman": {"log": {"level": "error"}}}
        assert [await reply(silent, other), await reply(config, other)] == [0, 1], "what was not logged was not told"


async def test_what_a_former_release_went_back_to_is_served_until_the_file_changes(tmp_path: Path) -> None:
    env = {"STATE_DIRECTORY": str(tmp_path / "state")}
    with socket.create_server(("127.0.0.1", 0)) as data, socket.create_server(("127.0.0.1", 0)) as admin:
        async with run_fake_vllm(LoraVllm()) as vllm:
            config = quick_config(vllm.port)
            feedback = yaml.safe_dump(config)
            config["pointsman"] = {"routing": {"mode": "off"}}
            file = on_ports(config, data.getsockname()[1], admin.getsockname()[1])
            sha256, over = (hashlib.sha256(one.encode()).hexdigest() for one in (feedback, file))
            (tmp_path / "state" / "configs").mkdir(parents=True)
            (tmp_path / "state" / "configs" / f"1795000000-{sha256}.yaml").write_text(feedback)
            rollback = {"sha256": sha256, "at": 1795000000, "over": over}
            overlay = tmp_path / "state" / "overlay.json"
            overlay.write_text(json.dumps({"version": 1, "config": rollback}))
            async with run_daemon(config, tmp_path, env=env, listener=data, admin_listener=admin) as daemon:
                assert f"{daemon.config}: this file is not served, but" in daemon.log_text()
                assert await answered(daemon) == ("technical-lora", "classified")
                assert "rolled back by a former release" in await pointsman(daemon, "status")
                assert json.loads(overlay.read_text())["config"] == rollback

                daemon.config.write_text(f"{file}# changed\n")
                daemon.process.send_signal(signal.SIGHUP)
                await daemon.logged("reload", result="applied")
                assert await answered(daemon) == (BASE, "off")
                await eventually(lambda: json.loads(overlay.read_text())["config"] is None, "it is forgotten")


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
