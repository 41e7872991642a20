"""Clients that keep requesting streams from a service, and the vLLM behind it, in a network namespace of its own.

As a program (`python -m support.load CLIENTS`) it answers each line of its input with the clients' results so far.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp
from aiohttp import web

from support.fake_vllm import FakeVllm, event, run_fake_vllm
from support.service import CHAT, chat

MODEL = "llama2-7b"
WHOLE = (event(MODEL, "first") + b"data: [DONE]\n\n").decode()
URL = f"http://127.0.0.1:8080{CHAT}"
GENERATION_SECONDS = 0.1
"""Of a stream: some are always on their way when the service stops."""
MAX_REQUEST_SECONDS = 60.0
"""A request that takes longer is lost."""


class Load:
    """The program as it runs in a namespace."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def answers(self) -> dict[str, int]:
        """Return the clients' answers so far, and their numbers."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answers: dict[str, int] = json.loads(self._process.stdout.readline())
        return answers

    def total(self) -> int:
        return sum(self.answers().values())


@contextlib.contextmanager
def run(process_id: int, clients: int) -> Iterator[Load]:
    """Put the load on the service in the network namespace of a process."""
    command = ["nsenter", "--target", str(process_id), "--net", sys.executable, "-m", "support.load", str(clients)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        try:
            yield Load(process)
        finally:
            process.kill()


async def main(clients: int) -> None:
    answers: Counter[str] = Counter()
    async with run_fake_vllm(FakeVllm(port=8000, answer=generate)), asyncio.TaskGroup() as group:
        asking = [group.create_task(keep_asking(answers)) for _ in range(clients)]
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(answers), flush=True)
        for task in asking:
            task.cancel()


async def generate(request: web.Request, _: bytes) -> web.StreamResponse:
    """A stream that takes a moment."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(event(MODEL, "first"))
    await asyncio.sleep(GENERATION_SECONDS)
    await response.write(b"data: [DONE]\n\n")
    return response


async def keep_asking(answers: Counter[str]) -> None:
    while True:
        answers[await ask()] += 1


async def ask() -> str:
    """The body of a stream, asked for on a connection of its own, or what went wrong."""
    connector = aiohttp.TCPConnector(force_close=True)  # a reused connection may close at any time, and clients know
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(MAX_REQUEST_SECONDS)) as http,
            http.post(URL, json=chat("short", MODEL, stream=True)) as response,
        ):
            body = await response.text()
            return body if response.status == 200 else f"{response.status} {body}"
    except (aiohttp.ClientError, TimeoutError) as error:
        return repr(error)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
