"""A real vLLM that transcribes speech over a websocket, through the service and without it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from support import vllm_server
from support.client_keys import line
from support.daemon import Daemon, run_daemon
from support.service import shipped_config
from support.vllm_server import VllmServer, run_vllm

pytestmark = [pytest.mark.vllm, pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]

MODEL = "asr"
WITHIN_SECONDS = 60.0
# There are no weights, and to try it with a long sound at the start would take it a minute.
ARGS = ("--load-format", "dummy", "--skip-mm-profiling")
ONE_SECOND = base64.b64encode(bytes(2 * 16_000)).decode()
SAID = [
    {"type": "session.update", "model": MODEL},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.append", "audio": ONE_SECOND},
    {"type": "input_audio_buffer.commit", "final": True},
]


@pytest.fixture(scope="module")
def vllm(vllm_venv: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    folder = tmp_path_factory.mktemp("tiny-asr")
    vllm_server.build_model(vllm_venv, folder, "tiny_asr")
    with run_vllm(vllm_venv, folder, folder / "vllm.log", base_model=MODEL, args=ARGS) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(vllm: VllmServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Daemon]:
    folder = tmp_path_factory.mktemp("daemon")
    keys = folder / "keys"
    keys.write_bytes(line("ann") + line("bob", "legal-lora"))
    keys.chmod(0o600)
    access = {"pointsman": {"access": {"keys_file": str(keys)}}}
    async with run_daemon(shipped_config(vllm.port) | access, folder) as daemon:
        yield daemon


def key(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}-secret"}


async def transcribed(url: str, headers: dict[str, str]) -> list[dict[str, Any]]:
    """What vLLM says from the beginning to the end of a transcription."""
    events: list[dict[str, Any]] = []
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/v1/realtime", headers=headers) as socket:
        events.append(await socket.receive_json(timeout=WITHIN_SECONDS))
        for event in SAID:
            await socket.send_json(event)
        while events[-1]["type"] not in ("transcription.done", "error"):
            events.append(await socket.receive_json(timeout=WITHIN_SECONDS))
    return events


def comparable(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what differs from session to session; vLLM puts so much into a delta as there is when it sends it."""
    found: list[dict[str, Any]] = []
    for event in events:
        fields = {name: value for name, value in event.items() if name not in ("id", "created")}
        if found and "delta" in fields and "delta" in found[-1]:
            fields["delta"] = found.pop()["delta"] + fields["delta"]
        found.append(fields)
    return found


async def test_a_transcription_comes_as_vllm_writes_it(daemon: Daemon, vllm: VllmServer) -> None:
    directly = await transcribed(vllm.base_url, {})
    events = await transcribed(daemon.base_url, key("ann"))

    assert comparable(events) == comparable(directly)
    assert events[0]["type"] == "session.created"
    assert events[-1]["type"] == "transcription.done"
    assert events[-1]["text"] == "".join(event["delta"] for event in events[1:-1]) != ""
    logged = await daemon.logged("request", path="/v1/realtime", key="ann")
    assert logged["status"] == 101


async def test_vllms_own_error_reaches_the_client_and_the_session_goes_on(daemon: Daemon) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{daemon.base_url}/v1/realtime", headers=key("ann")) as socket,
    ):
        assert (await socket.receive_json(timeout=WITHIN_SECONDS))["type"] == "session.created"
        for _ in range(2):
            await socket.send_json({"type": "session.update", "model": "nobody"})
            said = await socket.receive_json(timeout=WITHIN_SECONDS)
            assert (said["type"], said["code"]) == ("error", "model_not_found")
