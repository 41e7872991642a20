"""What a client with a key can learn from a running service of what another has sent."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from support.client_keys import line
from support.daemon import run_daemon
from support.fake_vllm import run_fake_vllm
from support.service import CHAT, Service, chat, shipped_config

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXTS = [f"Why does the {part} of engine {number} leak?" for number in range(5) for part in ("pump", "valve", "hose")]
"""To classify a text with this behind it takes many times as long as to send it."""


@pytest_asyncio.fixture(loop_scope="session")
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    (tmp_path / "keys.jsonl").write_bytes(line("ann") + line("bob"))
    (tmp_path / "keys.jsonl").chmod(0o600)
    async with run_fake_vllm() as fake, aiohttp.ClientSession() as http:
        config = shipped_config(fake.port) | {"pointsman": {"access": {"keys_file": str(tmp_path / "keys.jsonl")}}}
        async with run_daemon(config, tmp_path) as daemon:
            yield Service(daemon, fake, http)


async def timed(service: Service, name: str, text: str) -> set[str]:
    """The phases in `Server-Timing`."""
    reply = await service.post(CHAT, chat(text), {"Authorization": f"Bearer {name}-secret"})
    assert reply.status == 200
    return set(re.findall(r"([a-z_]+);dur=", reply.headers["Server-Timing"])) - {"upstream"}


async def routed(service: Service, name: str, text: str) -> tuple[str, set[str]]:
    """Where the classification came from, and the phases, as the dry run tells them."""
    reply = await service.post("/v1/route", chat(text), {"Authorization": f"Bearer {name}-secret"})
    answer: Any = reply.json
    return answer["text"]["source"], set(answer["timing_ms"])


FRESH = {"queue", "tokenize", "infer", "decide"}


async def test_a_text_that_another_has_sent_looks_like_one_that_nobody_has(service: Service) -> None:
    for text in TEXTS:
        assert await timed(service, "ann", text) == FRESH
        assert await timed(service, "bob", text) == FRESH
    for text in TEXTS:
        assert await routed(service, "ann", f"{text} Now!") == ("run", FRESH)
        assert await routed(service, "bob", f"{text} Now!") == ("run", FRESH)
    assert await timed(service, "ann", TEXTS[0]) == {"decide"}, "its own it knows"
    assert await routed(service, "bob", f"{TEXTS[0]} Now!") == ("hit", {"decide"})
