"""What passes between client and vLLM: bytes as they come, headers, failures, and clients that leave."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from support.daemon import run_daemon
from support.fake_vllm import FakeVllm, event, stream
from support.metrics import scrape
from support.process import PATIENCE_SECONDS, reserve_port
from support.quick_config import quick_config
from support.service import CHAT, MEDICAL, Service, chat

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_stream_is_passed_on_byte_for_byte(service: Service) -> None:
    events = [b": keep-alive\n\n", event("x", "caf\u00e9 \U0001f600"), b"data: {not json}\n\n", b"data:{}\r\n\r\n"]

    async def answer(request: web.Request, _: bytes) -> web.StreamResponse:
        return await stream(request, events)

    service.vllm.answer = answer
    reply = await service.post(CHAT, chat(stream=True))

    assert reply.body == b"".join(events) + b"data: [DONE]\n\n"
    assert reply.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["X-Accel-Buffering"] == "no"


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


async def test_a_compressed_answer_is_not_touched(service: Service) -> None:
    body = bytes.fromhex("1f8b0800000000000003ab56ca48cdc9c957b2527ac7b82c5100f2b5ca3d13000000")

    async def answer(*_: object) -> web.StreamResponse:
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        return web.Response(body=body, headers=headers)

    service.vllm.answer = answer
    reply = await service.post(CHAT, chat(), {"Accept-Encoding": "gzip"})

    assert (reply.body, reply.headers["Content-Encoding"]) == (body, "gzip")
    assert service.vllm.last.values("Accept-Encoding") == ["gzip"]


async def test_repeated_headers_of_an_answer_all_come_through(service: Service) -> None:
    async def answer(*_: object) -> web.StreamResponse:
        response = web.json_response({})
        response.headers.add("X-Many", "1")
        response.headers.add("X-Many", "2")
        return response

    service.vllm.answer = answer

    assert (await service.post(CHAT, chat())).headers.getall("X-Many") == ["1", "2"]


async def test_credentials_and_steering_headers_stay_here(service: Service) -> None:
    sent = {"Authorization": "Bearer mine", "X-Api-Key": "mine", "Cookie": "a=b", "X-data-parallel-rank": "3"}
    await service.post(CHAT, chat(), sent | {"X-Kept": "yes", "traceparent": "00-1-2-01"})

    assert [service.vllm.last.values(name) for name in sent] == [[], [], [], []]
    assert (service.vllm.last.values("X-Kept"), service.vllm.last.values("traceparent")) == (["yes"], ["00-1-2-01"])


async def test_hop_by_hop_and_nominated_headers_stay_here(service: Service) -> None:
    await service.post(CHAT, chat(), {"Connection": "keep-alive, X-Secret", "X-Secret": "1", "TE": "trailers"})

    assert [service.vllm.last.values(name) for name in ("X-Secret", "TE")] == [[], []]


@pytest.mark.parametrize(("given", "expected"), [("abc-123", True), ("x" * 200, False), ("spaces are odd", False)])
async def test_a_plain_request_id_is_kept_and_any_other_replaced(service: Service, given: str, expected: bool) -> None:
    reply = await service.post(CHAT, chat(), {"X-Request-Id": given})

    ids = reply.headers.getall("X-Request-Id")
    assert service.vllm.last.values("X-Request-Id") == ids
    assert (ids == [given]) is expected
    assert len(ids) == 1


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_client_that_leaves_closes_the_request_to_vllm(service: Service, streaming: bool) -> None:
    arrived = asyncio.Event()

    async def answer(request: web.Request, _: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        if streaming:
            await response.prepare(request)
            await response.write(event("x", "one"))
        arrived.set()
        await asyncio.Event().wait()
        return response

    service.vllm.answer = answer
    task = asyncio.create_task(service.post(CHAT, chat(stream=streaming), {"X-Request-Id": f"left-{streaming}"}))
    await arrived.wait()
    task.cancel()

    async with asyncio.timeout(PATIENCE_SECONDS):
        await service.vllm.left.wait()
    line = await service.daemon.logged("routing_decision", request_id=f"left-{streaming}")
    assert line["status"] == 499


async def _read_until_broken(response: aiohttp.ClientResponse) -> bytes:
    received = []
    try:
        async for chunk in response.content.iter_any():
            received.append(chunk)  # noqa: PERF401 - a comprehension would lose what came before the break
    except aiohttp.ClientPayloadError:
        return b"".join(received)
    pytest.fail("the answer looks whole")


async def test_a_stream_that_breaks_ends_with_an_error_and_is_seen_as_broken(service: Service) -> None:
    async def answer(request: web.Request, _: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(event("x", "one"))
        assert request.transport is not None
        request.transport.abort()
        return response

    service.vllm.answer = answer
    async with service.http.post(service.daemon.base_url + CHAT, json=chat(stream=True)) as response:
        assert await response.content.readuntil(b"\n\n") == event("x", "one")
        rest = await _read_until_broken(response)

    assert json.loads(rest.strip().removeprefix(b"data: "))["error"]["code"] == "upstream_broken"


async def test_an_upstream_that_hangs_up_is_a_502(service: Service) -> None:
    async def answer(request: web.Request, _: bytes) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    service.vllm.answer = answer
    reply = await service.post(CHAT, chat())

    assert (reply.status, reply.json["error"]["code"]) == (502, "upstream_broken")


async def test_an_upstream_redirect_is_never_passed_on(service: Service) -> None:
    async def answer(*_: object) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "http://127.0.0.1:8000/"})

    service.vllm.answer = answer
    reply = await service.post(CHAT, chat())

    assert (reply.status, "Location" in reply.headers) == (502, False)


RELAYED = (
    *("/v1/embeddings", "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/score", "/score", "/v1/rerank"),
    *("/v2/rerank", "/rerank", "/pooling", "/classify", "/tokenize", "/detokenize", "/v1/messages/count_tokens"),
    *("/v1/chat/completions/render", "/v1/completions/render", "/v1/decisions"),
)


@pytest.mark.parametrize("path", RELAYED)
async def test_listed_paths_are_relayed_untouched(service: Service, path: str) -> None:
    body = b'{"model" : "llama2-7b", "input":"x"}'
    reply = await service.post(path, body, {"Content-Type": "application/json"})

    assert (reply.status, service.vllm.last.target, service.vllm.last.body) == (200, path, body)


async def test_a_stored_response_is_fetched_and_cancelled(service: Service) -> None:
    async def answer(_: web.Request, __: bytes) -> web.Response:
        return web.json_response({"id": "resp_1", "object": "response"})

    service.vllm.answer = answer
    await service.post("/v1/responses", {"model": "llama2-7b", "input": "x"})
    reply = await service.get("/v1/responses/resp_1?stream=false")

    assert (reply.status, service.vllm.last.method) == (200, "GET")
    assert (service.vllm.last.target, service.vllm.last.body) == ("/v1/responses/resp_1?stream=false", b"")

    reply = await service.post("/v1/responses/resp_1/cancel", b'{"a" : 1}')

    assert (reply.status, service.vllm.last.method) == (200, "POST")
    assert (service.vllm.last.target, service.vllm.last.body) == ("/v1/responses/resp_1/cancel", b'{"a" : 1}')


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


@pytest.mark.parametrize(("path", "status"), [("/nowhere?secret=1", 404), (CHAT, 405)])
async def test_what_is_not_listed_has_a_line_in_the_log_and_is_counted(
    service: Service, path: str, status: int
) -> None:
    """The path that was asked for stands in the error: clients could make any number of labels of it."""
    request_id = uuid.uuid4().hex
    async with service.http.get(service.daemon.base_url + path, headers={"X-Request-Id": request_id}) as response:
        assert (response.status, response.headers["X-Request-Id"]) == (status, request_id)
    line = await service.daemon.logged("request", request_id=request_id)

    assert (line["path"], line["status"]) == ("other", status)
    assert line["error"].startswith(f"GET {path.partition('?')[0]}: ")
    assert (await scrape(service.daemon)).total("requests_total", path="other", status=str(status)) >= 1


async def test_no_vllm_is_a_502_that_names_the_endpoint(tmp_path: Path) -> None:
    async with (
        run_daemon(quick_config(reserve_port()), tmp_path) as daemon,
        aiohttp.ClientSession() as http,
        http.post(daemon.base_url + CHAT, json=chat()) as response,
    ):
        error = (await response.json())["error"]
        assert (response.status, error["code"]) == (502, "upstream_unreachable")
        assert "vllm-primary" in error["message"]


def _hurried(port: int, **relay: Any) -> dict[str, Any]:
    return quick_config(port) | {"pointsman": {"relay": relay}}


async def test_a_late_first_byte_is_a_504(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    async def answer(*_: object) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    fake_vllm.answer = answer
    async with (
        run_daemon(_hurried(fake_vllm.port, first_byte_timeout_ms=50), tmp_path) as daemon,
        aiohttp.ClientSession() as http,
        http.post(daemon.base_url + CHAT, json=chat()) as response,
    ):
        assert (response.status, (await response.json())["error"]["code"]) == (504, "upstream_timeout")
        await fake_vllm.left.wait()


async def test_a_stream_that_falls_silent_is_ended_even_if_comments_go_on(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    """vLLM's front end sends keep-alive comments for minutes after its engine died."""

    async def answer(request: web.Request, _: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(event("x", "one"))
        while True:
            await response.write(b": keep-alive\n\n")
            await asyncio.sleep(0.01)

    fake_vllm.answer = answer
    async with (
        run_daemon(_hurried(fake_vllm.port, idle_timeout_ms=100), tmp_path) as daemon,
        aiohttp.ClientSession() as http,
        asyncio.timeout(PATIENCE_SECONDS),
        http.post(daemon.base_url + CHAT, json=chat(stream=True)) as response,
    ):
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
        await fake_vllm.left.wait()


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


async def test_the_clients_authorization_passes_when_told_so(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    async with (
        run_daemon(_hurried(fake_vllm.port, forward_authorization=True), tmp_path) as daemon,
        aiohttp.ClientSession(headers={"Authorization": "Bearer client"}) as http,
        http.post(daemon.base_url + CHAT, json=chat()) as response,
    ):
        assert response.status == 200

    assert fake_vllm.last.values("Authorization") == ["Bearer client"]


async def test_it_listens_on_a_unix_socket_too(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    socket = tmp_path / "pointsman.sock"
    config = quick_config(fake_vllm.port) | {"pointsman": {"server": {"listen": [f"unix:{socket}"]}}}
    async with (
        run_daemon(config, tmp_path),
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as http,
        http.post("http://localhost" + CHAT, json=chat(MEDICAL)) as response,
    ):
        assert response.headers["x-vsr-selected-model"] == "medical-lora"


async def test_running_answers_end_before_the_daemon_does(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def answer(request: web.Request, _: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(event("x", "one"))
        await go_on.wait()
        await response.write(event("x", "two"))
        return response

    fake_vllm.answer = answer
    async with (
        run_daemon(quick_config(fake_vllm.port), tmp_path) as daemon,
        aiohttp.ClientSession() as http,
        http.post(daemon.base_url + CHAT, json=chat(stream=True)) as response,
    ):
        await response.content.readuntil(b"\n\n")
        daemon.process.terminate()
        await daemon.logged("stopping")
        go_on.set()
        assert await response.read() == event("x", "two")
