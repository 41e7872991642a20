"""Client keys of a running service: written by the command, read again when they change."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.command import run_here
from support.daemon import Daemon, run_daemon
from support.fake_vllm import run_fake_vllm
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
