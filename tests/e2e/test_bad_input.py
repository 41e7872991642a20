"""Bad input never gives a 500, a traceback or a hang; what is vLLM's to judge is left to vLLM."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

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


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream"]
)
async def test_another_content_type_is_left_to_vllm(service: Service, content_type: str) -> None:
    body = json.dumps(chat()).encode()
    reply = await service.post(CHAT, body, {"Content-Type": content_type})

    assert reply.status == 200
    assert (service.vllm.last.body, service.vllm.last.values("Content-Type")) == (body, [content_type])


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
