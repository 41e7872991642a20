"""Two real vLLM servers behind one daemon: what one has no room for, the other answers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from support.daemon import run_daemon
from support.process import PATIENCE_SECONDS
from support.raw_client import ask, connect, post
from support.service import TECHNICAL, chat, shipped_config
from support.vllm_server import VllmServer, run_vllm

pytestmark = [pytest.mark.vllm, pytest.mark.long, pytest.mark.asyncio]

BASE = "llama2-7b"
LONG = 1000  # tokens, which take seconds


async def test_what_a_full_vllm_turns_away_another_one_answers(
    vllm: VllmServer, vllm_venv: Path, tiny_model: Path, tmp_path: Path
) -> None:
    config = shipped_config(vllm.port)
    config["vllm_endpoints"][0] |= {"name": "free", "weight": 0}
    options = ("--max-num-queued-reqs", "1")
    with run_vllm(vllm_venv, tiny_model, tmp_path / "full.log", args=options) as full:
        config["vllm_endpoints"].append({"name": "full", "address": "127.0.0.1", "port": full.port})
        config["model_config"][BASE]["preferred_endpoints"] = ["free", "full"]
        async with run_daemon(config, tmp_path) as daemon:

            def turned_away() -> int:
                lines = [line for line in daemon.log_lines() if line.get("endpoint") == "free"]
                return [tried["why"] for line in lines for tried in line.get("retried", ())].count("queue_full")

            async with asyncio.timeout(4 * PATIENCE_SECONDS):
                for count, stream in enumerate((False, True), 1):
                    while turned_away() < count:  # on a busy host, the long answer may have ended before
                        async with connect(daemon.base_url) as busy:
                            busy.send(post(chat(model=BASE, stream=True, max_tokens=LONG)))
                            assert (await busy.head())[0] == 200
                            got = await ask(daemon.base_url, chat(TECHNICAL, stream=stream, max_tokens=1))
                            assert got.status == 200
