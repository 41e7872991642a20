"""What passes between client and vLLM: bytes as they come, headers, failures, and clients that leave."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from support.daemon import run_daemon
from support.fake_vllm import FakeVllm
from support.process import PATIENCE_SECONDS
from support.quick_config import quick_config
from support.service import CHAT, Service, chat

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_each_chunk_arrives_before_the_next_is_made(service: Service) -> None:
    """The upstream makes a chunk only once the client has the one before: a relay that buffers would never end."""
    go_on = asyncio.Event()

    async def answer(request: web.Request, _: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(5):
            await response.write(b"data: %d\n\n" % number)
            await go_on.wait()
            go_on.clear()
        return response

    service.vllm.answer = answer
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        service.http.post(service.daemon.base_url + CHAT, json=chat(stream=True)) as response,
    ):
        for number in range(5):
            assert await response.content.readuntil(b"\n\n") == b"data: %d\n\n" % number
            go_on.set()
        assert await response.content.read() == b""


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
async def test_an_error_of_vllm_comes_through_as_it_is(service: Service, status: int) -> None:
    body = b'{"error" : "Unauthorized"}'

    async def answer(*_: object) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers={"Content-Type": "application/json", "Retry-After": "7"})

    service.vllm.answer = answer
    reply = await service.post(CHAT, chat())

    assert (reply.status, reply.body, reply.headers["Retry-After"]) == (status, body, "7")


async def test_credentials_and_steering_headers_stay_here(service: Service) -> None:
    sent = {"Authorization": "Bearer mine", "X-Api-Key": "mine", "Cookie": "a=b", "X-data-parallel-rank": "3"}
    await service.post(CHAT, chat(), sent | {"X-Kept": "yes", "traceparent": "00-1-2-01"})

    assert [service.vllm.last.values(name) for name in sent] == [[], [], [], []]
    assert (service.vllm.last.values("X-Kept"), service.vllm.last.values("traceparent")) == (["yes"], ["00-1-2-01"])


async def test_the_auto_name_on_a_relayed_path_means_the_default_model(service: Service) -> None:
    """vLLM has no model of that name: a client that counts tokens first would never get further."""
    await service.post("/v1/messages/count_tokens", {"model": "MoM", "messages": []})

    assert service.vllm.last.json == {"model": "llama2-7b", "messages": []}


@pytest.mark.parametrize(
    "path",
    [
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
        "/invocations",
        "/adapters",
        "/pause",
        "/v1/responses/..%2F..%2Fpause/cancel",
        "/v1/chat/completions/../../../pause",
        "/",
    ],
)
async def test_what_is_not_listed_is_a_404_and_never_forwarded(service: Service, path: str) -> None:
    reply = await service.post(path, {"lora_name": "x", "lora_path": "/x"})

    assert (reply.status, reply.json["error"]["type"]) == (404, "invalid_request_error")
    assert service.vllm.received == []


async def test_the_wrong_method_is_a_405_in_openais_form(service: Service) -> None:
    reply = await service.get(CHAT)

    assert (reply.status, reply.headers["Allow"], reply.json["error"]["code"]) == (405, "POST", "method_not_allowed")


def _hurried(port: int, **relay: Any) -> dict[str, Any]:
    return quick_config(port) | {"pointsman": {"relay": relay}}


async def test_vllms_key_replaces_the_clients(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("s3cret\n")
    async with (
        run_daemon(_hurried(fake_vllm.port, api_key_file=str(key)), tmp_path) as daemon,
        aiohttp.ClientSession(headers={"Authorization": "Bearer client"}) as http,
        http.post(daemon.base_url + CHAT, json=chat()) as response,
    ):
        assert response.status == 200
        assert "s3cret" not in daemon.log_text()

    assert fake_vllm.last.values("Authorization") == ["Bearer s3cret"]
