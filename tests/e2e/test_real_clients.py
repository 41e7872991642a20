"""curl, `openai` for Node and vLLM's bench get from the daemon what they get from vLLM itself.

`openai` for Python is in test_vllm.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from support import needs, vllm_server
from support.answers import collapsed, events, stable
from support.daemon import Daemon, run_daemon
from support.service import CHAT, TECHNICAL, shipped_config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from support.vllm_server import VllmServer

pytestmark = [pytest.mark.vllm, pytest.mark.asyncio(loop_scope="module")]

NODE = Path(__file__).parents[1] / "support" / "node"
NODE_CACHE = vllm_server.ROOT / ".cache" / "node"
ADAPTER = "technical-lora"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sides:
    """The daemon, vLLM behind it, and the system prompt that the config gives to ADAPTER's category."""

    daemon: Daemon
    vllm: VllmServer
    system: str

    @property
    def routed(self) -> str:
        return self.daemon.base_url

    @property
    def direct(self) -> str:
        return self.vllm.base_url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sides(vllm: VllmServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sides]:
    config = shipped_config(vllm.port)
    (system,) = (category["system_prompt"] for category in config["categories"] if category["name"] == "technical")
    async with run_daemon(config, tmp_path_factory.mktemp("daemon")) as daemon:
        yield Sides(daemon, vllm, system)


async def run(
    *command: str | Path, stdin: bytes = b"", env: dict[str, str] | None = None, timeout_s: float = 120
) -> tuple[bytes, str]:
    """Stdout and stderr of a program that must end well."""
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        input=stdin,
        capture_output=True,
        env=os.environ | (env or {}),
        timeout=timeout_s,
        check=False,
    )
    output = done.stderr.decode(errors="replace")
    assert done.returncode == 0, f"{command[0]} exited with {done.returncode}:\n{output}\n{done.stdout.decode()}"
    return done.stdout, output


def chat(model: str, system: str | None = None, **fields: Any) -> Json:
    messages = [{"role": "user", "content": TECHNICAL}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    return {"model": model, "messages": messages, "temperature": 0, "max_tokens": 24, **fields}


# --- curl -------------------------------------------------------------------------------------------------------

LONG = "x" * 1_500_000  # above the 1 MB from which on curl asks before it sends


@dataclass(frozen=True, slots=True)
class Curl:
    """A way to send a request: options, fields of the body, and what `curl -v` must show for it."""

    options: Sequence[str]
    fields: Json
    shows: Sequence[str]


STREAM = {"stream": True, "stream_options": {"include_usage": True}}
SENT = ("--data-binary", "@-")
WAYS = {
    "plain": Curl(SENT, {}, ["> POST /v1/chat/completions HTTP/1.1", "< HTTP/1.1 200 OK"]),
    "streamed": Curl(("-N", *SENT), STREAM, ["< content-type: text/event-stream", "< transfer-encoding: chunked"]),
    "asks before a large body": Curl(SENT, {"padding": LONG}, ["> Expect: 100-continue", "< HTTP/1.1 100 Continue"]),
    "upload of unknown length": Curl(("-T", "-", "-X", "POST"), {}, ["> Transfer-Encoding: chunked"]),
    "large upload of unknown length": Curl(("-T", "-", "-X", "POST"), {"padding": LONG}, ["< HTTP/1.1 100 Continue"]),
    "HTTP/1.0": Curl(("-0", *SENT), {}, ["> POST /v1/chat/completions HTTP/1.0"]),
    "HTTP/1.0, streamed": Curl(("-0", "-N", *SENT), STREAM, ["> POST /v1/chat/completions HTTP/1.0"]),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_curl(sides: Sides, way: Curl) -> None:
    needs.program("curl")

    async def ask(base: str, body: Json) -> tuple[bytes, str]:
        command = ("curl", "-sSv", "-H", "Content-Type: application/json", *way.options, base + CHAT)
        return await run(*command, stdin=json.dumps(body).encode())

    routed, shown = await ask(sides.routed, chat("MoM", **way.fields))
    direct, _ = await ask(sides.direct, chat(ADAPTER, sides.system, **way.fields))

    assert [line for line in way.shows if line.lower() not in shown.lower()] == [], shown[-3000:]
    assert f"< x-vsr-selected-model: {ADAPTER}" in shown
    if way.fields is STREAM:
        assert collapsed(events(routed)) == collapsed(events(direct))
    else:
        assert stable(json.loads(routed)) == stable(json.loads(direct))


# --- openai for Node --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """Where `openai` for Node is installed; from npm's registry at the first time."""
    needs.program("node", "nodejs")
    npm = needs.program("npm")
    NODE_CACHE.mkdir(parents=True, exist_ok=True)
    shutil.copy(NODE / "package.json", NODE_CACHE)
    quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--prefer-offline")
    command = [npm, "install", *quiet, "--prefix", str(NODE_CACHE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        needs.lacking(f"`openai` for Node is not installed, and npm cannot: {done.stderr[-500:]}")
    return NODE_CACHE / "node_modules"


async def node(base: str, modules: Path, *calls: Json) -> list[Json]:
    """What `openai` for Node makes of the answer to each call."""
    asked = json.dumps({"baseURL": base + "/v1", "calls": calls}).encode()
    output, _ = await run("node", NODE / "ask.cjs", stdin=asked, env={"NODE_PATH": str(modules)})
    answers: list[Json] = json.loads(output)
    assert len(answers) == len(calls)
    return answers


def node_calls(model: str, system: str | None) -> list[Json]:
    """Each API whole and streamed, and what vLLM refuses."""
    few = {"temperature": 0, "max_tokens": 24}
    completion = {"model": model, "prompt": TECHNICAL, **few}
    response = {"model": model, "input": TECHNICAL, "temperature": 0, "max_output_tokens": 24}
    if system is not None:
        response["instructions"] = system
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    return [
        {"method": "chat.completions.create", "body": chat(model, system)},
        {"method": "chat.completions.create", "body": chat(model, system, **STREAM)},
        {"method": "completions.create", "body": completion},
        {"method": "completions.create", "body": completion | {"stream": True}},
        {"method": "responses.create", "body": response},
        {"method": "responses.create", "body": response | {"stream": True}},
        {"method": "chat.completions.create", "body": chat(model, system, tools=[tool])},
        {"method": "chat.completions.create", "body": chat("nobody-lora", system)},
        {"method": "embeddings.create", "body": {"model": ADAPTER, "input": "x", "encoding_format": "float"}},
    ]


async def test_openai_for_node_sees_no_difference_but_the_model(sides: Sides, node_modules: Path) -> None:
    routed = await node(sides.routed, node_modules, *node_calls("MoM", None))
    direct = await node(sides.direct, node_modules, *node_calls(ADAPTER, sides.system))

    kinds = ["value", "events"] * 3 + ["error"] * 3
    assert [list(answer) for answer in routed] == [[kind] for kind in kinds], routed
    for kind, ours, theirs in zip(kinds, routed, direct, strict=True):
        if kind == "events":
            assert collapsed(ours[kind]) == collapsed(theirs[kind])
        else:
            assert stable(ours[kind]) == stable(theirs[kind])
    assert {routed[index]["value"]["model"] for index in (0, 2, 4)} == {ADAPTER}


# --- vLLM's own benchmark ---------------------------------------------------------------------------------------

PROMPTS, OUTPUT_TOKENS = 12, 16


async def bench(base: str, model: str | None, vllm: VllmServer, folder: Path) -> Json:
    """What `vllm bench serve` measures with seeded random prompts, streamed, four at a time.

    Without a `model`, it takes the first one that is listed, and the tokenizer from its `root`.
    """
    venv = Path(os.environ.get("VLLM_VENV", vllm_server.DEFAULT_VENV))
    file = folder / f"{uuid.uuid4().hex}.json"
    await run(
        *(venv / "bin" / "vllm", "bench", "serve", "--backend", "openai-chat", "--endpoint", CHAT, "--base-url", base),
        *(() if model is None else ("--model", model, "--tokenizer", vllm.model / "base")),
        *("--seed", "7", "--temperature", "0"),
        *("--dataset-name", "random", "--random-input-len", "40", "--random-output-len", str(OUTPUT_TOKENS)),
        *("--num-prompts", str(PROMPTS), "--max-concurrency", "4", "--ignore-eos", "--disable-tqdm"),
        *("--save-result", "--save-detailed", "--result-dir", folder, "--result-filename", file.name),
        env={"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"},
        timeout_s=300,
    )
    result: Json = json.loads(file.read_text())
    return result


@pytest.mark.long
async def test_vllm_bench_counts_the_same_requests_and_tokens_and_gets_the_same_texts(
    sides: Sides, tmp_path: Path
) -> None:
    routed = await bench(sides.routed, ADAPTER, sides.vllm, tmp_path)
    direct = await bench(sides.direct, ADAPTER, sides.vllm, tmp_path)

    assert (routed["completed"], routed["failed"]) == (PROMPTS, 0)
    assert routed["total_output_tokens"] == PROMPTS * OUTPUT_TOKENS
    same = ("completed", "failed", "total_input_tokens", "total_output_tokens", "input_lens", "output_lens")
    assert {key: routed[key] for key in same} == {key: direct[key] for key in same}
    assert routed["generated_texts"] == direct["generated_texts"]


@pytest.mark.long
async def test_vllm_bench_without_a_model_completes_every_request_that_is_routed(sides: Sides, tmp_path: Path) -> None:
    routed = await bench(sides.routed, None, sides.vllm, tmp_path)

    assert (routed["completed"], routed["failed"]) == (PROMPTS, 0)
    assert routed["total_output_tokens"] == PROMPTS * OUTPUT_TOKENS
