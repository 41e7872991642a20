"""Implement the stand-in for vLLM, which shows the whole path without a GPU: it answers with the requested model.

It answers chat completions, streamed or not, and lists the models of the config at its start; adapters can be loaded
and unloaded. `pointsman.app.stand_in` runs it as `python -m pointsman.cli.demo`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from pointsman.app.stand_in import READY, StandInConfig
from pointsman.errors import error_body

PATH = "/v1/chat/completions"


async def main() -> int:
    """Serve the `StandInConfig` on the first line of stdin until its end; return 1 if an address cannot be bound."""
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    config = msgspec.json.decode(await reader.readline(), type=StandInConfig)
    try:
        async with serving(_app(config.models), config.addresses):
            _print_line(READY)
            await reader.read()
    except OSError as error:
        _print_line(f"{error}\n".encode())
        return 1
    return 0


def _print_line(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


@contextlib.asynccontextmanager
async def serving(app: web.Application, addresses: Sequence[tuple[str, int]]) -> AsyncIterator[None]:
    """Listen at all addresses; raises OSError that names the address."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        for host, port in addresses:
            try:
                await web.TCPSite(runner, host, port).start()
            except OSError as error:
                raise OSError(f"cannot listen at {host}:{port} ({error.strerror})") from error
        yield
    finally:
        await runner.cleanup()


def _app(bases: Mapping[str, Sequence[str]]) -> web.Application:
    served = {base: list(adapters) for base, adapters in bases.items()}

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": list(_cards(served))})

    async def load(request: web.Request) -> web.Response:
        asked = await request.json()
        name, first = str(asked["lora_name"]), next(iter(served.values()))
        if not any(name in adapters for adapters in served.values()):
            first.append(name)
        return web.Response(text=f"Success: LoRA adapter '{name}' added successfully.")

    async def unload(request: web.Request) -> web.Response:
        name = str((await request.json())["lora_name"])
        for adapters in served.values():
            adapters[:] = [one for one in adapters if one != name]
        return web.Response(text=f"Success: LoRA adapter '{name}' removed successfully.")

    app = web.Application()
    app.add_routes(
        [
            web.get("/v1/models", models),
            web.post(PATH, _chat),
            web.post("/v1/completions", _completion),
            web.get("/health", _health),
            web.post("/v1/load_lora_adapter", load),
            web.post("/v1/unload_lora_adapter", unload),
        ]
    )
    return app


async def _health(_: web.Request) -> web.Response:
    return web.Response()


async def _completion(request: web.Request) -> web.Response:
    model = str((await request.json())["model"])
    choice = {"index": 0, "text": " I am a stand-in for vLLM.", "finish_reason": "stop"}
    return web.json_response(_envelope("text_completion", model, [choice]))


def _cards(bases: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Any]]:
    for base, adapters in bases.items():
        yield {"id": base, "object": "model", "owned_by": "stand-in", "root": base, "parent": None}
        for name in adapters:
            yield {"id": name, "object": "model", "owned_by": "stand-in", "root": name, "parent": base}


async def _chat(request: web.Request) -> web.StreamResponse:
    try:
        asked = await request.json()
        model, stream = str(asked["model"]), asked.get("stream") is True
    except (ValueError, LookupError, TypeError, AttributeError):
        body = error_body(
            "the stand-in needs a JSON object with `model`", type="BadRequestError", param=None, code="400"
        )
        return web.json_response(body, status=400)
    words = f"I am a stand-in for vLLM, not a model. You asked for the model {model}.".split(" ")
    words = [word if word is words[0] else f" {word}" for word in words]
    if not stream:
        message = {"role": "assistant", "content": "".join(words)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 0, "completion_tokens": len(words), "total_tokens": len(words)}
        return web.json_response(_envelope("chat.completion", model, [choice]) | {"usage": usage})
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    for word in words:
        await response.write(_event(model, {"content": word}, None))
    await response.write(_event(model, {}, "stop") + b"data: [DONE]\n\n")
    return response


def _event(model: str, delta: dict[str, str], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps(_envelope("chat.completion.chunk", model, [choice])).encode() + b"\n\n"


def _envelope(kind: str, model: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-stand-in",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "choices": choices,
    }


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
