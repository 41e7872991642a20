"""A stranger's adapters are described, taught by a real vLLM, watched in shadow, promoted and rolled back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from pointsman.improve.taught_file import TaughtRow, taught_file
from support.daemon import Daemon, run_daemon
from support.process import eventually
from support.service import shipped_config
from support.vllm_server import VllmServer, run_vllm

pytestmark = [pytest.mark.vllm, pytest.mark.long]

PROGRAM = "import sys; from pointsman.cli.main import main; sys.exit(main(sys.argv[1:]))"
DESCRIBED = {
    "rent-desk": "Answers tenants of a housing association about rent and repairs.",
    "captain": "Speaks as a grumpy old sea captain.",
}
PROMPT = "the boiler in flat 12 is broken again"
ROWS = [
    *(TaughtRow(f"the {one} in flat {n} is broken", "rent-desk") for n, one in enumerate(["boiler", "sink"] * 6)),
    *(TaughtRow(f"captain, what of the {sea}?", "captain") for sea in ["storm", "whale", "reef", "fog", "gale"] * 2),
    *(TaughtRow(f"what is {one} plus two", None) for one in range(10)),
]


@pytest.fixture(scope="module")
def vllm(vllm_venv: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    with run_vllm(vllm_venv, tiny_model, tmp_path_factory.mktemp("teach") / "vllm.log") as server:
        yield server


def config(vllm: VllmServer) -> dict[str, Any]:
    made = shipped_config(vllm.port)
    base = made["default_model"]
    entries = [{"model": base, "lora_name": lora, "use_reasoning": False} for lora in vllm.adapters]
    made["categories"] = [
        {"name": name, "description": text, "model_scores": [entry]}
        for (name, text), entry in zip(DESCRIBED.items(), entries, strict=False)
    ]
    return made


async def command(folder: Path, *arguments: str, stop_after: int | None = None) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"STATE_DIRECTORY": str(folder)},
    )
    if stop_after is not None:
        notes = folder / "improve" / "teaching.jsonl"
        await eventually(lambda: notes.exists() and notes.read_bytes().count(b"\n") >= stop_after, "answers are noted")
        process.send_signal(signal.SIGKILL)
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def model_of(daemon: Daemon, text: str) -> str:
    body = {"messages": [{"role": "user", "content": text}]}
    async with aiohttp.ClientSession(daemon.base_url) as http, http.post("/v1/route", json=body) as response:
        return str((await response.json())["decision"]["model"])


async def change(daemon: Daemon, action: str, **body: str) -> None:
    """Change the classifier in use, as `pointsman classifier` does."""
    url = f"{daemon.admin_url}/classifier/{action}"
    async with aiohttp.ClientSession() as http, http.post(url, json=body) as response:
        assert response.status == 200, await response.text()


async def test_a_model_that_writes_nonsense_is_asked_to_the_end_and_its_rows_are_few_or_none(
    vllm: VllmServer, tmp_path: Path
) -> None:
    """Killed in the middle and continued, what was answered is not asked again."""
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config(vllm)))
    teach = ("teach", "--config", str(file), "--rows", "5")

    await command(tmp_path, *teach, stop_after=2)
    before = (tmp_path / "improve" / "teaching.jsonl").read_bytes()
    code, _, err = await command(tmp_path, *teach)

    assert code in {0, 1}, err
    assert "Traceback" not in err
    assert code == 0 or "no row came of it" in err or "no row is of a described category" in err
    notes = (tmp_path / "improve" / "teaching.jsonl").read_bytes()
    assert notes.startswith(before)
    asked = [json.loads(line)["of"] for line in notes.splitlines()]
    assert len(asked) == len(set(asked))


async def test_what_was_taught_is_watched_promoted_and_rolled_back(vllm: VllmServer, tmp_path: Path) -> None:
    rows, file = tmp_path / "rows.jsonl", tmp_path / "config.yaml"
    taught_file(rows).replace(ROWS)
    file.write_text(yaml.safe_dump(config(vllm)))
    code, out, err = await command(tmp_path, "teach", "--config", str(file), "--from", str(rows))
    assert code == 0, err
    made = out.splitlines()[0]
    watching = config(vllm)
    watching["pointsman"] = {"classifier": {"shadow": made}}

    async with run_daemon(watching, tmp_path, env={"STATE_DIRECTORY": str(tmp_path)}) as daemon:
        before = await model_of(daemon, PROMPT)
        await change(daemon, "promote", artifact=made)
        assert await model_of(daemon, PROMPT) == vllm.adapters[0]
        await change(daemon, "rollback")
        assert await model_of(daemon, PROMPT) == before
