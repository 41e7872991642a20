"""A stand-in for vLLM, so that the whole path can be seen without one: it says which model it was asked for.

It is no model and no mock of vLLM: it answers chat completions, streamed or not, and lists the config's models.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from pointsman.config.model import Config
from pointsman.errors import CannotStart, error_body

PATH = "/v1/chat/completions"


async def start(config: Config) -> list[web.AppRunner]:
    """Listen at every endpoint of the config; raises CannotStart where that is no free loopback address."""
    runners = []
    for base_url in {endpoint.base_url for endpoint in config.vllm_endpoints}:
        address = urlsplit(base_url)
        runner = web.AppRunner(_app(config), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, _loopback(address.hostname), address.port or 80).start()
        except OSError as error:
            await runner.cleanup()
            raise CannotStart(
                f"the stand-in for vLLM cannot listen at {address.netloc} ({error.strerror}); "
                "if a vLLM runs there, start without --demo"
            ) from error
        runners.append(runner)
    return runners


def _loopback(host: str | None) -> str:
    if host in {"127.0.0.1", "::1", "localhost"}:
        return host
    raise CannotStart(f"--demo needs endpoints on 127.0.0.1, the config names {host}; start without --demo")


def _app(config: Config) -> web.Application:
    async def models(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": list(_cards(config))})

    app = web.Application()
    app.add_routes([web.get("/v1/models", models), web.post(PATH, _chat), web.get("/health", _health)])
    return app


async def _health(_: web.Request) -> web.Response:
    return web.Response()


def _cards(config: Config) -> Iterator[dict[str, Any]]:
    for base, model in config.model_config.items():
        yield {"id": base, "object": "model", "owned_by": "stand-in", "root": base, "parent": None}
        for lora in model.loras:
            yield {
                "id": lora.name,
                "object": "model",
                "owned_by": "stand-in",
                "root": lora.name,
                "parent": base,
            }


async def _chat(request: web.Request) -> web.StreamResponse:
    try:
        asked = await request.json()
        model, stream = str(asked["model"]), asked.get("stream") is True
    except (ValueError, LookupError, TypeError, AttributeError):
        body = error_body(
            "the stand-in wants a JSON object with `model`", type="BadRequestError", param=None, code="400"
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
