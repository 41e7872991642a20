"""The official `openai` client sees no difference but the model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from aiohttp import web

from support.fake_vllm import event
from support.process import PATIENCE_SECONDS
from support.service import TECHNICAL, Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

USER: Any = [{"role": "user", "content": TECHNICAL}]


@pytest_asyncio.fixture(loop_scope="session")
async def client(service: Service) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=service.daemon.base_url + "/v1", api_key="client", max_retries=0) as client:
        yield client


async def test_a_plain_answer(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="MoM", messages=USER)

    assert (answer.model, answer.choices[0].message.content) == ("technical-lora", "I am technical-lora")


async def test_a_stream(client: openai.AsyncOpenAI) -> None:
    chunks = [chunk async for chunk in await client.chat.completions.create(model="MoM", messages=USER, stream=True)]

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "I am technical-lora"


async def test_vllms_own_fields_arrive(client: openai.AsyncOpenAI, service: Service) -> None:
    extra = {"top_k": 5, "min_p": 0.05, "chat_template_kwargs": {"enable_thinking": False}, "return_token_ids": True}
    await client.chat.completions.create(model="MoM", messages=USER, extra_body=extra)

    assert service.vllm.last.json.items() >= extra.items()


async def test_tools_arrive(client: openai.AsyncOpenAI, service: Service) -> None:
    tools: Any = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    await client.chat.completions.create(model="MoM", messages=USER, tools=tools, tool_choice="auto")

    assert (service.vllm.last.json["tools"], service.vllm.last.json["tool_choice"]) == (tools, "auto")


async def test_the_text_beside_a_picture_is_classified_and_both_arrive(
    client: openai.AsyncOpenAI, service: Service
) -> None:
    parts = [
        {"type": "text", "text": "Explain this JavaScript"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "text", "text": "code with async/await"},
    ]
    messages: Any = [{"role": "user", "content": parts}]
    answer = await client.chat.completions.create(model="MoM", messages=messages)

    assert answer.model == "technical-lora"
    assert service.vllm.last.json["messages"][-1] == messages[0]


async def test_leaving_a_stream_frees_vllm(client: openai.AsyncOpenAI, service: Service) -> None:
    async def answer(request: web.Request, _: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(event("x", "one"))
        await asyncio.Event().wait()
        return response

    service.vllm.answer = answer
    stream = await client.chat.completions.create(model="MoM", messages=USER, stream=True)
    await anext(aiter(stream))
    await stream.close()

    async with asyncio.timeout(PATIENCE_SECONDS):
        await service.vllm.left.wait()


async def test_our_own_errors_are_the_clients_exceptions(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="`model` must be a string"):
        await client.chat.completions.create(model=7, messages=USER)  # type: ignore[call-overload]


async def test_models_are_listed(client: openai.AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]

    assert names == ["MoM", "llama2-7b", "technical-lora", "medical-lora", "legal-lora"]
