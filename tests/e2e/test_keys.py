"""Client keys of a running service: written by the command, read again when they change."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.client_keys import line
from support.command import run_here
from support.daemon import Daemon, run_daemon
from support.fake_vllm import run_fake_vllm
from support.process import eventually
from support.quick_config import quick_config
from support.service import CHAT, TECHNICAL, chat

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def command(daemon_config: Path, *arguments: str) -> tuple[int, str, str]:
    done = await asyncio.to_thread(run_here, "keys", *arguments, "--config", daemon_config)
    return done.returncode, done.stdout.strip(), done.stderr


async def post(daemon: Daemon, key: str | None, body: Any) -> tuple[int, Any]:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(daemon.base_url + CHAT, json=body, headers=headers) as response,
    ):
        return response.status, await response.json()


async def test_keys_are_added_and_revoked_while_the_service_runs(tmp_path: Path) -> None:
    async with run_fake_vllm() as fake:
        config = quick_config(fake.port)
        config["pointsman"] = {"access": {"keys_file": str(tmp_path / "keys.jsonl")}}
        (tmp_path / "keys.jsonl").touch(0o600)
        async with run_daemon(config, tmp_path) as daemon:
            assert (await post(daemon, "x", chat()))[0] == 401
            code, secret, _ = await command(daemon.config, "add", "ann", "--model", "legal-lora")
            assert code == 0
            line = await daemon.logged("reload", result="applied")
            assert line["changes"] == [{"path": "pointsman.access.keys_file[ann]", "from": None, "to": "(a key)"}]
            status, answer = await post(daemon, secret, chat(TECHNICAL))
            assert (status, answer["model"]) == (200, "legal-lora")
            assert (await post(daemon, secret, chat(TECHNICAL, "technical-lora")))[0] == 403
            assert fake.last.values("Authorization") == []
            await _broken_file_changes_nothing(daemon, tmp_path / "keys.jsonl", secret)
            assert (await command(daemon.config, "revoke", "ann"))[0] == 0
            await daemon.logged("reload", result="applied", generation=3)
            assert (await post(daemon, secret, chat()))[0] == 401
            assert {one.get("key") for one in daemon.log_lines() if one["event"] == "routing_decision"} == {"ann"}
            assert secret not in daemon.log_text()


async def test_a_key_is_rotated_while_the_service_runs(tmp_path: Path) -> None:
    """No request is refused in between, and the log has one name."""
    async with run_fake_vllm() as fake:
        config = quick_config(fake.port)
        config["pointsman"] = {"access": {"keys_file": str(tmp_path / "keys.jsonl")}}
        (tmp_path / "keys.jsonl").write_bytes(line("ann", sent="old"))
        (tmp_path / "keys.jsonl").chmod(0o600)
        async with run_daemon(config, tmp_path) as daemon:
            assert (await post(daemon, "old", chat()))[0] == 200
            code, new, _ = await command(daemon.config, "rotate", "ann")
            assert code == 0
            changed = (await daemon.logged("reload", result="applied"))["changes"]
            assert changed == [
                {"path": "pointsman.access.keys_file[ann]", "from": "(a key)", "to": "(a second secret)"}
            ]
            for secret in ("old", new):
                assert (await post(daemon, secret, chat()))[0] == 200
            assert (await command(daemon.config, "drop-old", "ann"))[0] == 0
            await daemon.logged("reload", result="applied", generation=3)
            assert [(await post(daemon, secret, chat()))[0] for secret in ("old", new)] == [401, 200]

            def served() -> list[tuple[str, bool | None]]:
                lines = [one for one in daemon.log_lines() if one["event"] == "routing_decision"]
                return [(one["key"], one.get("old_secret")) for one in lines if one["status"] == 200]

            await eventually(lambda: len(served()) == 4, "all requests are logged")
            assert served() == [("ann", None), ("ann", True), ("ann", None), ("ann", None)]
            assert new not in daemon.log_text()


async def test_the_place_in_the_queue_is_the_keys(tmp_path: Path) -> None:
    async with run_fake_vllm() as fake:
        config = quick_config(fake.port)
        config["pointsman"] = {
            "access": {"keys_file": str(tmp_path / "keys.jsonl")},
            "relay": {"scheduling_policy": "priority"},
        }
        (tmp_path / "keys.jsonl").write_bytes(line("ann", priority=-5) + line("bob", allowed_fields=["priority"]))
        async with run_daemon(config, tmp_path) as daemon:
            for model in ("MoM", "base-model"):
                status, answer = await post(daemon, "ann-secret", chat(TECHNICAL, model, priority=-9))
                assert (status, answer["error"]["param"]) == (400, "priority")
                assert (await post(daemon, "ann-secret", chat(TECHNICAL, model)))[0] == 200
                assert (fake.last.json["priority"], fake.last.values("X-Vllm-Priority")) == (-5, ["-5"])
                assert (await post(daemon, "bob-secret", chat(TECHNICAL, model, priority=7)))[0] == 200
                assert (fake.last.json["priority"], fake.last.values("X-Vllm-Priority")) == (7, [])


def append(file: Path, text: bytes, before: bytes | None = None) -> bytes:
    """Append to what is in a file, or to `before`; return what it was appended to."""
    before = file.read_bytes() if before is None else before
    file.write_bytes(before + text)
    return before


async def _broken_file_changes_nothing(daemon: Daemon, file: Path, secret: str) -> None:
    good = append(file, b'{"name": "bob", "sha256": "", "models": ["x"]}\n')
    line = await daemon.logged("reload", result="failed")
    assert f"{file}:2: " in line["error"]
    assert (await post(daemon, secret, chat()))[0] == 200
    async with aiohttp.ClientSession() as http, http.post(daemon.admin_url + "/reload") as response:
        problems = json.loads(await response.text())["error"]["problems"]
        assert {problem["line"] for problem in problems} == {2}
    append(file, b"", good)


async def test_a_socket_beyond_the_loopback_is_refused_with_our_key_and_no_keys(tmp_path: Path) -> None:
    """Inherited, too: the config alone would not tell."""
    (tmp_path / "vllm-key").write_text("key")
    config = quick_config(9)
    config["pointsman"] = {
        "relay": {"api_key_file": str(tmp_path / "vllm-key")},
        "server": {"admin_listen": "127.0.0.1:0"},
    }
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104
        os.set_inheritable(listener.fileno(), True)
        script = 'exec 3<&"$1"; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$2" -m pointsman serve --config "$3"'
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", script, "bash", str(listener.fileno()), sys.executable, str(file)),
            pass_fds=[listener.fileno()],
            stderr=asyncio.subprocess.PIPE,
        )
        _, err = await process.communicate()
    assert process.returncode == 3
    assert "is beyond the loopback" in err.decode()
