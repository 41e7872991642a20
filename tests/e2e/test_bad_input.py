"""Bad input never gives a 500, a traceback or a hang; what is vLLM's to judge is left to vLLM."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from support.daemon import run_daemon
from support.quick_config import quick_config
from support.service import CHAT, TECHNICAL, Service, chat

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"model":"MoM"} trailing', "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b'{"model":"MoM","messages":[{"role":"user","content":"\xff"}]}', "not UTF-8"),
        (b'{"model":"MoM","x":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}", "nested too deeply"),
        (b'{"model":7,"messages":[]}', "`model` must be a string"),
    ],
)
async def test_what_cannot_be_read_is_a_400_and_not_forwarded(service: Service, body: bytes, says: str) -> None:
    reply = await service.post(CHAT, body)

    error = reply.json["error"]
    assert (reply.status, error["type"]) == (400, "invalid_request_error")
    assert says in error["message"]
    assert service.vllm.received == []


@pytest.mark.parametrize(
    "messages",
    [None, [], "text", {"role": "user"}, [None], ["text"], [{"role": 7}], [{"role": "user", "content": {"a": 1}}], 3],
)
async def test_odd_messages_are_left_to_vllm(service: Service, messages: Any) -> None:
    async def answer(*_: object) -> web.StreamResponse:
        return web.json_response({"error": {"message": "vLLM says no"}}, status=400)

    service.vllm.answer = answer
    reply = await service.post(CHAT, {"model": "MoM", "messages": messages})

    assert (reply.status, reply.json) == (400, {"error": {"message": "vLLM says no"}})
    assert (service.vllm.last.json["messages"], service.vllm.last.json["model"]) == (messages, "llama2-7b")


async def test_no_messages_at_all_are_left_to_vllm(service: Service) -> None:
    await service.post(CHAT, {"model": "MoM"})

    assert service.vllm.last.json == {"model": "llama2-7b"}


@pytest.mark.parametrize("text", ["", "   \n", [], [{"type": "image_url", "image_url": {"url": "data:,"}}]])
async def test_a_prompt_without_text_goes_to_the_default_model(service: Service, text: Any) -> None:
    reply = await service.post(CHAT, chat(text))

    assert reply.headers["x-pointsman-reason"] == "no_text"
    assert service.vllm.last.json == chat(text, "llama2-7b")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream"]
)
async def test_another_content_type_is_left_to_vllm(service: Service, content_type: str) -> None:
    body = json.dumps(chat()).encode()
    reply = await service.post(CHAT, body, {"Content-Type": content_type})

    assert reply.status == 200
    assert (service.vllm.last.body, service.vllm.last.values("Content-Type")) == (body, [content_type])


async def test_a_compressed_body_is_refused(service: Service) -> None:
    """Unpacking what a client sends is a way to be knocked over."""
    reply = await service.post(CHAT, b"\x1f\x8b", {"Content-Encoding": "gzip"})

    assert (reply.status, reply.json["error"]["code"]) == (415, "unsupported_encoding")


async def test_a_40_mib_body_is_a_413(service: Service) -> None:
    body = json.dumps(chat("x" * 40 * 2**20)).encode()
    reply = await service.post(CHAT, body)

    assert (reply.status, reply.json["error"]["code"]) == (413, "body_too_large")
    assert service.vllm.received == []


async def test_a_40_mib_body_of_unknown_length_is_a_413(service: Service) -> None:
    async def chunks() -> Any:
        for _ in range(40):
            yield b" " * 2**20

    async with service.http.post(
        service.daemon.base_url + CHAT, data=chunks(), headers={"Content-Type": "application/json"}
    ) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (413, "body_too_large")


async def test_a_200_kb_prompt_is_classified_by_head_and_tail_within_the_deadline(service: Service) -> None:
    filler = "and then the next thing happened " * 6_000
    for _ in range(10):  # on a busy host, the first may come too late
        reply = await service.post("/v1/route", chat(f"{TECHNICAL} python code {filler} {TECHNICAL} python code"))
        if reply.json["decision"]["reason"] != "deadline":
            break
    assert reply.json["text"]["truncated"] is True
    assert reply.json["text"]["tokens"] <= 512
    assert reply.headers["x-pointsman-truncated"] == "true"
    assert reply.json["decision"]["reason"] != "deadline"


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 async",
        "python\x00code",
        "\u202epython",
        "a" * 100_000,
        "\n" * 50_000 + "x",
    ],
)
async def test_strange_text_is_classified_and_forwarded_as_it_is(service: Service, text: str) -> None:
    reply = await service.post(CHAT, chat(text))

    assert reply.status == 200
    assert service.vllm.last.json["messages"][-1]["content"] == text


async def test_half_a_surrogate_pair_is_left_to_vllm(service: Service) -> None:
    body = b'{"model":"MoM","messages":[{"role":"user","content":"python \\ud800"}]}'
    reply = await service.post(CHAT, body)

    assert reply.status == 200
    assert b"\\ud800" in service.vllm.last.body


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
async def test_other_encodings_of_a_named_model_pass_untouched(service: Service, encoding: str) -> None:
    body = json.dumps(chat(model="legal-lora")).encode(encoding)
    reply = await service.post(CHAT, body)

    assert (reply.status, reply.headers["x-pointsman-reason"]) == (200, "explicit_model")
    assert service.vllm.last.body == body


async def test_a_duplicate_key_means_its_last_value_to_us_and_to_vllm(service: Service) -> None:
    body = b'{"model":"legal-lora","model":"MoM","messages":[{"role":"user","content":"async javascript code"}]}'
    await service.post(CHAT, body)

    assert service.vllm.last.json["model"] == "technical-lora"
    assert service.vllm.last.body.startswith(b'{"model":"legal-lora","model":"technical-lora",')


async def test_a_malformed_request_line_is_a_400_without_a_traceback(service: Service) -> None:
    host, _, port = service.daemon.base_url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GARBAGE\r\n\r\n")
    answer = await reader.read()
    writer.close()

    assert b" 400 " in answer.splitlines()[0]
    assert "Traceback" not in service.daemon.log_text()


async def test_a_body_that_never_comes_is_a_408(service: Service, tmp_path: Any) -> None:
    config = quick_config(service.vllm.port) | {"pointsman": {"server": {"body_timeout_ms": 50}}}
    async with run_daemon(config, tmp_path) as daemon, aiohttp.ClientSession() as http:

        async def nothing() -> Any:
            yield b"{"
            await asyncio.Event().wait()

        async with http.post(
            daemon.base_url + CHAT, data=nothing(), headers={"Content-Type": "application/json"}
        ) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (408, "request_timeout")
