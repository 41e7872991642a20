"""Stored responses of a real vLLM belong to the clients that created them, also after a restart."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from support.daemon import run_daemon
from support.process import eventually
from support.quick_config import quick_config
from support.vllm_server import VllmServer

pytestmark = [pytest.mark.vllm, pytest.mark.asyncio(loop_scope="module")]

PATH = "/v1/responses"
MINE = {"Authorization": "Bearer mine"}
Answer = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Client:
    http: aiohttp.ClientSession
    vllm: VllmServer

    async def ask(self, base: str, method: str, path: str, body: Any = None, headers: Any = None) -> Answer:
        async with self.http.request(method, base + path, json=body, headers=headers) as response:
            return response.status, await response.read()

    async def about(self, base: str, response_id: str, headers: Any = None) -> list[Answer]:
        """Every way to ask for a stored response."""
        return [
            await self.ask(base, "GET", f"{PATH}/{response_id}", headers=headers),
            await self.ask(base, "POST", PATH, request(previous_response_id=response_id), headers),
            await self.ask(base, "POST", PATH, request(previous_response_id=response_id, model="MoM"), headers),
            await self.ask(base, "POST", f"{PATH}/{response_id}/cancel", {}, headers),
        ]


def request(**fields: Any) -> dict[str, Any]:
    return {"model": "llama2-7b", "input": "Why?", "max_output_tokens": 4, "temperature": 0} | fields


@pytest_asyncio.fixture(loop_scope="module")
async def client(vllm: VllmServer) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as http:
        yield Client(http, vllm)


@pytest.mark.parametrize(("stream", "killed"), [(False, False), (True, False), (False, True)])
async def test_its_client_finds_it_after_a_restart_and_others_get_vllms_404(
    client: Client, tmp_path: Path, stream: bool, killed: bool
) -> None:
    """Also after a SIGKILL, once the file has it."""
    config, env = quick_config(client.vllm.port), {"STATE_DIRECTORY": str(tmp_path / "state")}
    async with run_daemon(config, tmp_path, env=env, exit_code=-9 if killed else 0) as daemon:
        status, body = await client.ask(daemon.base_url, "POST", PATH, request(stream=stream), MINE)
        assert status == 200
        response_id = body.partition(b'"id":"')[2].partition(b'"')[0].decode()
        if killed:
            file = tmp_path / "state" / "responses.json"
            await eventually(lambda: file.exists() and response_id in file.read_text(), "the file has it")
            daemon.process.kill()
            await daemon.process.wait()  # a signal to a process that has just ended would take its status

    async with run_daemon(config, tmp_path, env=env) as daemon:
        unknown = [answer for answer in await client.about(daemon.base_url, response_id) if answer[0] != 404]
        assert unknown == []
        _, refused = await client.ask(daemon.base_url, "GET", f"{PATH}/{response_id}")
        _, known = await client.ask(client.vllm.base_url, "GET", f"{PATH}/resp_none")
        assert refused == known.replace(b"resp_none", response_id.encode())

        *found, cancelled = await client.about(daemon.base_url, response_id, MINE)
        assert [status for status, _ in found] == [200, 200, 200]
        assert json.loads(found[0][1])["id"] == response_id
        assert cancelled[0] == 400, "vLLM has it, and it is complete"
