"""The official `openai` client sees no difference but the model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio

from support.service import TECHNICAL, Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

USER: Any = [{"role": "user", "content": TECHNICAL}]


@pytest_asyncio.fixture(loop_scope="session")
async def client(service: Service) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=service.daemon.base_url + "/v1", api_key="client", max_retries=0) as client:
        yield client


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


async def test_our_own_errors_are_the_clients_exceptions(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="`model` must be a string"):
        await client.chat.completions.create(model=7, messages=USER)  # type: ignore[call-overload]
