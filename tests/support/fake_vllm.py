"""An upstream for what a real vLLM does not do on demand: it records what it gets, byte by byte, and can misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from support.process import reserve_port

MODELS = {
    "object": "list",
    "data": [
        {"id": "llama2-7b", "object": "model", "parent": None, "max_model_len": 4096},
        {"id": "technical-lora", "object": "model", "parent": "llama2-7b"},
        {"id": "medical-lora", "object": "model", "parent": "llama2-7b"},
        {"id": "legal-lora", "object": "model", "parent": "llama2-7b"},
    ],
}

Answer = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def values(self, name: str) -> list[str]:
        """The values of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass
class FakeVllm:
    """`answer` decides what it does; by default it answers a chat completion that names the model it was asked for."""

    port: int = 0
    models: Any = field(default_factory=lambda: MODELS)
    received: list[Received] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client left before its answer was whole."""
    answer: Answer | None = None

    @property
    def last(self) -> Received:
        """The latest request but for polls of `/v1/models` and probes of `/health`."""
        return self.received[-1]

    def reset(self) -> None:
        """Forget what was received and answer as by default."""
        self.received.clear()
        self.left = asyncio.Event()
        self.answer = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/v1/models":
            return web.json_response(self.models)
        if request.path == "/health":
            return web.Response()
        body = await request.read()
        headers = [(name.decode(), value.decode()) for name, value in request.raw_headers]
        self.received.append(Received(request.method, request.raw_path, headers, body))
        try:
            return await (self.answer or completion)(request, body)
        except (asyncio.CancelledError, ConnectionResetError):
            self.left.set()
            raise


async def completion(_: web.Request, body: bytes) -> web.StreamResponse:
    """A chat completion, or a stream of three chunks, by the model that was asked for."""
    asked = json.loads(body or b"{}")
    model = asked.get("model")
    if asked.get("stream") is not True:
        message = {"role": "assistant", "content": f"I am {model}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        envelope = {"id": "c", "object": "chat.completion", "created": 1, "model": model}
        return web.json_response(envelope | {"choices": [choice], "usage": usage})
    return await stream(_, [event(model, word) for word in ("I", " am", f" {model}")])


def event(model: str | None, word: str) -> bytes:
    """One chunk of a streamed chat completion."""
    choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


async def stream(request: web.Request, events: list[bytes]) -> web.StreamResponse:
    """Server-sent events, one write each, with the end that vLLM gives them."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    for chunk in [*events, b"data: [DONE]\n\n"]:
        await response.write(chunk)
    return response


@contextlib.asynccontextmanager
async def run_fake_vllm(fake: FakeVllm | None = None) -> AsyncIterator[FakeVllm]:
    """Listening on 127.0.0.1, on its port or else a free one, for as long as the block lasts."""
    fake = fake or FakeVllm()
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    fake.port = fake.port or reserve_port()  # so that another may take its port
    site = web.TCPSite(runner, "127.0.0.1", fake.port)
    await site.start()
    try:
        yield fake
    finally:
        await runner.cleanup()
