"""A real vLLM that orders its queue by priority: a lower number is answered first, though it comes last."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from support.client_keys import line
from support.daemon import Daemon, run_daemon
from support.process import eventually
from support.service import CHAT, chat, shipped_config
from support.vllm_server import VllmServer, run_vllm

pytestmark = [pytest.mark.vllm, pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]

WITHIN_SECONDS = 60.0
ONE_AT_A_TIME = ("--scheduling-policy", "priority", "--max-num-seqs", "1")
_WAITING = re.compile(r"^vllm:num_requests_waiting\{.*\} (\d+)", re.MULTILINE)


@pytest.fixture(scope="module")
def vllm(vllm_venv: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    log = tmp_path_factory.mktemp("priority") / "vllm.log"
    with run_vllm(vllm_venv, tiny_model, log, args=ONE_AT_A_TIME) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(vllm: VllmServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Daemon]:
    folder = tmp_path_factory.mktemp("daemon")
    keys = folder / "keys"
    keys.write_bytes(line("first", priority=-5) + line("last", priority=5) + line("plain"))
    keys.chmod(0o600)
    options = {"access": {"keys_file": str(keys)}, "relay": {"scheduling_policy": "priority"}}
    async with run_daemon(shipped_config(vllm.port) | {"pointsman": options}, folder) as daemon:
        yield daemon


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/responses", "/v1/messages"])
async def test_vllm_answers_the_key_with_the_lower_number_first(daemon: Daemon, vllm: VllmServer, path: str) -> None:
    answered: list[str] = []

    def wait(number: int) -> bool:
        found = _WAITING.search(vllm.get("/metrics").decode())
        return found is not None and int(found[1]) == number

    async with aiohttp.ClientSession(base_url=daemon.base_url) as http:

        async def ask(name: str) -> None:
            body: dict[str, Any] = {"model": "legal-lora", "max_tokens": 8}
            if path == "/v1/responses":
                body |= {"input": "Why?", "max_output_tokens": 16}
            elif path == "/v1/completions":
                body |= {"prompt": "Why?"}
            else:
                body |= {"messages": [{"role": "user", "content": "Why?"}]}
            headers = {"Authorization": f"Bearer {name}-secret"}
            async with http.post(path, json=body, headers=headers) as response:
                assert response.status == 200, await response.text()
            answered.append(name)

        # The first answer of an API takes longer, and the long one ends some time.
        await ask("plain")
        answered.clear()
        long = chat("Why?", "legal-lora", stream=True, max_tokens=1900, ignore_eos=True)
        async with http.post(CHAT, json=long, headers={"Authorization": "Bearer plain-secret"}) as running:
            assert await running.content.readline()
            tasks = []
            for number, name in enumerate(("last", "plain", "first"), start=1):
                tasks.append(asyncio.create_task(ask(name)))
                await eventually(functools.partial(wait, number), f"{number} wait", timeout_s=WITHIN_SECONDS)
            assert not answered
        await asyncio.wait_for(asyncio.gather(*tasks), WITHIN_SECONDS)
    assert answered == ["first", "plain", "last"]
