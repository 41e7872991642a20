"""Who may do what at the admin port: over TCP with and without a token, at a Unix socket, and at the status address."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.command import run_here
from support.daemon import Daemon, run_daemon
from support.quick_config import quick_config

pytestmark = pytest.mark.asyncio(loop_scope="session")
NOBODY = 9  # the port of `discard`: no vLLM is needed here
OPEN = ("/metrics", "/health", "/ready")
NONE: Mapping[str, str] = {}
PROTECTED = ("/config", "/status", "/adapters")
TOKEN = "5f3a-9c1e"


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def code(self) -> Any:
        return json.loads(self.text)["error"]["code"]


async def get(url: str, method: str = "GET", unix: Path | None = None, headers: Mapping[str, str] = NONE) -> Answer:
    connector = aiohttp.UnixConnector(str(unix)) if unix is not None else None
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.request(method, url, headers=headers) as response,
    ):
        return Answer(response.status, response.headers, await response.text())


def config(**server: Any) -> dict[str, Any]:
    found = quick_config(NOBODY)
    found["pointsman"] = {"server": server, "adapters": {"poll_interval_ms": 0}}
    return found


async def command(daemon: Daemon, name: str, *arguments: str) -> tuple[int, str]:
    done = await asyncio.to_thread(run_here, name, "--config", daemon.config, *arguments)
    return done.returncode, done.stdout + done.stderr


async def test_over_tcp_the_token_is_wanted_and_can_be_changed(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    token.chmod(0o600)
    async with run_daemon(config(admin_token_file=token.name), tmp_path) as daemon:
        url = daemon.admin_url
        assert [(await get(url + path)).status for path in OPEN] == [200] * 3
        assert [(await get(url + path)).code for path in PROTECTED] == ["invalid_admin_token"] * 3
        assert (await get(url + "/reload", "POST")).status == 401
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert [(await get(url + path, headers=right)).status for path in PROTECTED] == [200] * 3
        assert (await command(daemon, "status"))[0] == 0
        token.write_text("another\n")

        reloaded = await get(url + "/reload", "POST", headers=right)

        assert [change["path"] for change in json.loads(reloaded.text)["changes"]] == [
            "pointsman.server.admin_token_file"
        ]
        assert (await get(url + "/config", headers=right)).status == 401
        assert (await get(url + "/config", headers={"Authorization": "Bearer another"})).status == 200
        assert (await command(daemon, "status"))[0] == 0
        assert (
            TOKEN
            not in daemon.log_text() + (await get(url + "/config", headers={"Authorization": "Bearer another"})).text
        )


async def test_a_config_of_release_0_1_works_as_before_with_a_warning(tmp_path: Path) -> None:
    async with run_daemon(config(), tmp_path) as daemon:
        assert [(await get(daemon.admin_url + path)).status for path in (*OPEN, *PROTECTED)] == [200] * 6
        assert (await get(daemon.admin_url + "/reload", "POST")).status == 200
        assert (await command(daemon, "status"))[0] == 0
        line = await daemon.logged("config")
    assert "every user of this host can change the service" in line["message"]


async def test_with_a_status_address_the_rest_is_at_the_unix_socket_alone(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    options = config(admin_listen=f"unix:{path}", status_listen="127.0.0.1:0", unix_socket_mode="0600")
    async with run_daemon(options, tmp_path) as daemon:
        line = await daemon.logged("ready")
        assert (line["admin"], line["status"]) == ([f"unix:{path}"], [daemon.admin_url.removeprefix("http://")])
        assert line["message"].endswith(f"; the page: unix:{path}")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [(await get(daemon.admin_url + one)).status for one in (*OPEN, *PROTECTED)] == [200] * 3 + [404] * 3
        assert "admin_listen" in (await get(daemon.admin_url + "/config")).text
        at_socket = [(await get(f"http://localhost{one}", unix=path)).status for one in (*OPEN, *PROTECTED)]
        assert at_socket == [200] * 6
        tunnelled = await get("http://localhost/config", unix=path, headers={"Host": "evil.example:7000"})
        assert (tunnelled.status, tunnelled.code) == (403, "unknown_host")
        code, said = await command(daemon, "status")
        assert (code, "at unix:" in said) == (0, True)


async def test_under_systemd_the_socket_is_in_the_runtime_directory(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    options = config(admin_listen=None, status_listen="127.0.0.1:0")
    async with run_daemon(options, tmp_path, env={"RUNTIME_DIRECTORY": str(folder)}) as daemon:
        line = await daemon.logged("ready")
        assert line["admin"] == [f"unix:{folder}/admin.sock"]
        assert stat.S_IMODE((folder / "admin.sock").stat().st_mode) == 0o660
        reloaded = await get("http://localhost/reload", "POST", unix=folder / "admin.sock")
        assert json.loads(reloaded.text)["result"] == "unchanged"
