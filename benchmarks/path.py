"""Measure what the daemon does for one request, without sockets: from the first byte of it to the end of its answer.

Everything between the two transports is the daemon's own, with the shipped config and the built-in classifier; only the
transports, of the client and of vLLM, are this program's, and keep nothing. A request that names its model and the same
for the automatic one take turns, round by round. After the first, its class comes from the cache. Counted is the CPU
time of the event loop's thread. Writes benchmarks/results/path.json and path.md.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import uvloop
from markdown import judged, publish, table
from provenance import processor, provenance
from relay.exchange import HEADERS, QUESTION
from startup import RESULT, ROOT
from target import at_most, ratio

from pointsman.api.data import routes
from pointsman.app.generations import Generations
from pointsman.app.prepare import PreparedConfig, prepare
from pointsman.observability.log import Log
from pointsman.observability.log_line import LineEncoder
from pointsman.server.connection import ClientConnection
from pointsman.server.listener import Listener
from pointsman.store.line_writer import LineWriter
from pointsman.upstream.connection import UpstreamConnection

KIB = 1024
EXPLICIT, HIT = "technical-lora", "MoM"
ROUNDS = 60
ROUND_SECONDS = 0.02
"""A round is short, so that some of many see no other program."""
READ_BYTES = 256 * KIB
"""uvloop reads no more from a socket at once."""
WANTED = {"64 KiB": 1.5, "512 KiB": 2.0}
"""The maximum cost of a cache hit, as a multiple of an explicit model's."""

HEAD = "".join(
    [
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n",
        *(f"{name}: {value}\r\n" for name, value in HEADERS.items()),
        "Content-Length: {}\r\n\r\n",
    ]
)
SYSTEM = "You are a helpful assistant. Answer briefly, and say so where you are not sure."
ANSWER = "Read it from the last line upwards: the *last* call of your own code is where the key was looked up.\n"


def body(size: int, turns: int, model: str) -> bytes:
    """Return a chat with this many questions, all but the last answered, in at most `size` bytes."""
    said = [{"role": "system", "content": SYSTEM}]
    for turn in range(turns):
        said += [{"role": "assistant", "content": ""}] * (turn > 0) + [{"role": "user", "content": ""}]

    def encoded(room: int) -> bytes:
        filled = [
            message | {"content": message["content"] or _text(message["role"], number, room)}
            for number, message in enumerate(said)
        ]
        return json.dumps({"messages": filled, "model": model, "temperature": 0.2}, separators=(",", ":")).encode()

    room = size // (2 * turns - 1)
    while len(encoded(room)) > size:
        room -= 1 + (len(encoded(room)) - size) // (4 * turns)
    return encoded(room)


def _text(role: str, number: int, room: int) -> str:
    unit = f"{QUESTION}\n" if role == "user" else ANSWER
    return f"{number}. {unit * (room // len(unit) + 1)}"[:room].strip()


REQUESTS = {
    ("one question", "1 KiB"): (1, KIB),
    ("one question", "64 KiB"): (1, 64 * KIB),
    ("one question", "512 KiB"): (1, 512 * KIB),
    ("ten turns", "4 KiB"): (10, 4 * KIB),
    ("ten turns", "64 KiB"): (10, 64 * KIB),
    ("ten turns", "512 KiB"): (10, 512 * KIB),
}
"""Number of turns and bytes, by what is asked and how large that is."""


class ClientTransport(asyncio.Transport):
    """The daemon's end of a connection."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 4000)})
        self.written: bytes = b""
        """The last that was written."""
        self.reading = True

    def write(self, data: Any) -> None:
        self.written = data

    def writelines(self, list_of_data: Any) -> None:
        self.written = list_of_data[0] or self.written

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        pass


ANSWERED = json.dumps(
    {
        "id": "chatcmpl-8aae84cd",
        "object": "chat.completion",
        "text": ANSWER * 8,
        "usage": {"prompt_tokens": 40, "completion_tokens": 220, "total_tokens": 260},
    }
).encode()
RESPONSES = [
    b"HTTP/1.1 200 OK\r\ndate: Thu, 26 Nov 2026 10:%02d:%02d GMT\r\nserver: uvicorn\r\ncontent-length: %d\r\n"
    b"content-type: application/json\r\n\r\n%b" % (*divmod(second, 60), len(ANSWERED), ANSWERED)
    for second in range(3600)
]
"""No two in an hour have the same head."""


@dataclass(frozen=True, slots=True)
class Ends:
    """A client and a vLLM, each with the daemon's end of its connection."""

    client: ClientConnection
    client_line: ClientTransport
    vllm: UpstreamConnection
    vllm_line: ClientTransport

    async def ask(self, pieces: list[bytes], response: bytes = RESPONSES[0]) -> None:
        """Have the daemon serve one request, which comes in pieces."""
        client, client_line, vllm, vllm_line = self.client, self.client_line, self.vllm, self.vllm_line
        client_line.written = vllm_line.written = b""
        for piece in pieces:
            while not client_line.reading:  # noqa: ASYNC110 - until the daemon's next turn
                await asyncio.sleep(0)
            client.data_received(piece)
        while not (vllm_line.written and vllm.sent):  # noqa: ASYNC110 - the same
            await asyncio.sleep(0)
        vllm.data_received(response)
        await asyncio.sleep(0)  # the next request comes in another turn of the event loop

    async def seconds(self, pieces: list[bytes], count: int) -> float:
        """Return the mean CPU time of this many requests."""
        started = time.thread_time()
        for number in range(count):
            await self.ask(pieces, RESPONSES[number % len(RESPONSES)])
        return (time.thread_time() - started) / count


def connected(generations: Generations) -> Ends:
    """Return a client and a vLLM that are connected."""
    listener = Listener(
        routes(generations.exchange, lambda: None, generations.current.recorder.not_routed),
        lambda: generations.current.limits,
        lambda _: None,
        generations.current.recorder.record_abandoned,
        generations.budget,
    )
    client, client_line = ClientConnection(listener), ClientTransport()
    client.connection_made(client_line)
    (endpoint,) = generations.current.balancer.all.values()
    vllm, vllm_line = UpstreamConnection(endpoint.pool, reusable=True), ClientTransport()
    vllm.connection_made(vllm_line)
    endpoint.pool.put(vllm)
    return Ends(client, client_line, vllm, vllm_line)


def pieces_of(body: bytes) -> list[bytes]:
    """Return a request as a socket brings it."""
    data = HEAD.format(len(body)).encode() + body
    return [data[at : at + READ_BYTES] for at in range(0, len(data), READ_BYTES)]


async def measured(ends: Ends, turns: int, size: int) -> dict[str, list[float]]:
    """Return the microseconds of a request in each round, by the model that it names."""
    ways = {model: pieces_of(body(size, turns, model)) for model in (EXPLICIT, HIT)}
    found: dict[str, list[float]] = {model: [] for model in ways}
    for pieces in ways.values():
        await ends.ask(pieces)
        if b"x-vsr-selected-model: technical-lora" not in ends.client_line.written:
            raise RuntimeError(f"not answered by {EXPLICIT}: {ends.client_line.written!r}")
    count = max(3, round(ROUND_SECONDS / await ends.seconds(ways[HIT], 3)))
    for _ in range(ROUNDS):
        for model, pieces in ways.items():
            found[model].append(round(await ends.seconds(pieces, count) * 1e6, 2))
    return found


def quiet(prepared: PreparedConfig) -> PreparedConfig:
    """Return the same without background tasks that look for a vLLM."""
    options = prepared.config.pointsman
    relay = replace(options.relay, health_interval_ms=0)
    adapters = replace(options.adapters, poll_interval_ms=0)
    config = replace(prepared.config, pointsman=replace(options, relay=relay, adapters=adapters))
    return replace(prepared, config=config)


async def measure() -> dict[str, Any]:
    """Return the microseconds by kind of request, size and model."""
    null = os.open(os.devnull, os.O_WRONLY)
    writer = LineWriter(null, "log", lambda _, __: b"")
    generations = Generations(
        quiet(prepare(ROOT / "config" / "config.yaml")), Log("info", writer, LineEncoder(journal=False))
    )
    gc.collect()
    gc.freeze()  # as the daemon does
    cells: dict[str, Any] = {}
    try:
        for (kind, name), (turns, size) in REQUESTS.items():
            cell = await measured(connected(generations), turns, size)
            cells.setdefault(kind, {})[name] = cell
            print(kind, name, *(f"{min(found):.1f}" for found in cell.values()), flush=True)
    finally:
        await generations.close()
        writer.close(1.0)
        os.close(null)
    return cells


def rendered(result: dict[str, Any]) -> list[str]:
    """Return the result as a Markdown page."""
    cells = result["cells"]
    rows = [
        [f"{kind}, {size}", *_figures(cell[EXPLICIT], cell[HIT])]
        for kind, sizes in cells.items()
        for size, cell in sizes.items()
    ]
    return [
        "# What the daemon does for one request",
        "",
        "CPU time of the event loop for a chat completion, from its first byte to the end of its answer, without the",
        "system calls of sockets (`make bench-path`): one that names its model, and one for the automatic model whose",
        "class is in the cache. The second is read, looked up and edited, and its system prompt is set. Microseconds,",
        f"best of {result['rounds']} rounds; the ratio is the median of those of each round.",
        f"{processor(result['machine'])}, Python {result['python']}, commit {result['commit']}.",
        "",
        *table(["", "explicit", "cache hit", "more", "times"], rows),
        "",
        *judged(
            at_most(
                f"a cache hit of {size}, times an explicit model",
                max_us,
                {kind: ratio(sizes[size][HIT], sizes[size][EXPLICIT]) for kind, sizes in cells.items()},
            )
            for size, max_us in WANTED.items()
        ),
    ]


def _figures(explicit: list[float], hit: list[float]) -> Iterator[str]:
    yield from (f"{figure:,.1f}" for figure in (min(explicit), min(hit), min(hit) - min(explicit)))
    yield f"{ratio(hit, explicit):.2f}"


def main() -> None:
    result = provenance() | {"rounds": ROUNDS, "cells": uvloop.run(measure())}
    publish(RESULT.with_name("path.json"), result, rendered(result))


if __name__ == "__main__":
    main()
