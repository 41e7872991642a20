"""A fake vLLM whose adapters come and go, in the forms that a real one answers in; each step can be made to fail."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from support.fake_vllm import Answer, FakeVllm

BASE = "llama2-7b"
ADAPTERS = ("technical-lora", "medical-lora", "legal-lora")


def refusal(status: int, kind: str, message: str, param: str | None = None) -> web.Response:
    """An error as vLLM forms it."""
    error = {"message": message, "type": kind, "param": param, "code": status}
    return web.json_response({"error": error}, status=status)


@dataclass
class LoraVllm(FakeVllm):
    """`listed` are the adapters that it serves. `steps` take the place of an answer, by path."""

    listed: list[str] = field(default_factory=lambda: list(ADAPTERS))
    steps: dict[str, Answer] = field(default_factory=dict)
    polls: int = 0
    paths: list[str] = field(default_factory=list)
    """The requests except for health, in order; an administrative path with the adapter's name."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        asked: dict[str, Any] = json.loads(body or b"{}")
        name = str(asked.get("lora_name") or asked.get("model"))
        if request.path == "/v1/models":
            self.polls += 1
        elif request.path != "/health":
            self.paths.append(f"{request.path} {name}")
        if step := self.steps.get(request.path):
            return await step(request, body)
        if request.path == "/v1/models":
            return web.json_response(self.cards())
        if request.path == "/v1/load_lora_adapter":
            return self.load(name)
        if request.path == "/v1/unload_lora_adapter":
            return self.unload(name)
        if request.method == "POST" and name not in (BASE, *self.listed):
            return self.unknown(request.path, name)
        return await super().handle(request)

    def reset(self) -> None:
        """As at the start."""
        super().reset()
        self.listed = list(ADAPTERS)
        self.steps.clear()
        self.paths.clear()

    def cards(self) -> dict[str, Any]:
        adapters = [{"id": name, "parent": BASE, "root": f"/{name}"} for name in self.listed]
        return {"object": "list", "data": [{"id": BASE, "parent": None, "root": "/base"}, *adapters]}

    def load(self, name: str) -> web.Response:
        if name in self.listed:
            message = (
                f"The lora adapter '{name}' has already been loaded. If you want to load the adapter in place, ..."
            )
            return refusal(400, "InvalidUserInput", message)
        self.listed.append(name)
        return web.Response(body=f"Success: LoRA adapter '{name}' added successfully.".encode())

    def unload(self, name: str) -> web.Response:
        if name not in self.listed:
            return refusal(404, "NotFoundError", f"The lora adapter '{name}' cannot be found.")
        self.listed.remove(name)
        return web.Response(body=f"Success: LoRA adapter '{name}' removed successfully.".encode())

    def unknown(self, path: str, name: str) -> web.Response:
        message = f"The model `{name}` does not exist. Valid aliases: {BASE}."
        if path == "/v1/messages":
            error = {"type": "NotFoundError", "message": message}
            return web.json_response({"type": "error", "error": error}, status=404)
        return refusal(404, "NotFoundError", message, "model")
