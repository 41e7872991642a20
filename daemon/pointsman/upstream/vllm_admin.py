"""Manage vLLM's LoRA adapters; vLLM answers in plain text on success, else in JSON of three forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pointsman.config.model import Endpoint
from pointsman.errors import UpstreamError
from pointsman.upstream.client import ask, unauthorized
from pointsman.upstream.endpoint_state import EndpointState

# Time for a large adapter on a slow disk, loaded between the steps of a busy engine.
LOAD_SECONDS = 120.0
# A busy engine may schedule the prompt late.
PROBE_SECONDS = 60.0
MAX_REASON_CHARACTERS = 300


class LoraApi:
    """The administration of one config's endpoints; every method raises UpstreamError with vLLM's message."""

    def __init__(self, upstreams: Mapping[str, EndpointState], key_line: bytes) -> None:
        self._upstreams = upstreams
        self._key_line = key_line

    async def load(self, endpoint: Endpoint, name: str, path: str) -> None:
        """Load an adapter; do nothing if it is loaded."""
        status, body = await self._administer(endpoint, "load", {"lora_name": name, "lora_path": path})
        if status != 200 and not (status == 400 and b"already been loaded" in body):
            raise UpstreamError(words(status, body))

    async def unload(self, endpoint: Endpoint, name: str) -> None:
        """Unload an adapter; vLLM still finishes the requests in progress."""
        status, body = await self._administer(endpoint, "unload", {"lora_name": name})
        if status != 200:
            raise UpstreamError(words(status, body))

    async def probe(self, endpoint: Endpoint, name: str) -> None:
        """Have an adapter generate one token."""
        request = {"model": name, "prompt": "Hello", "max_tokens": 1}
        status, body = await self._post(endpoint, "/v1/completions", request, PROBE_SECONDS)
        if status != 200:
            raise UpstreamError(f"it is loaded and does not answer: {words(status, body)}")

    async def _administer(self, endpoint: Endpoint, verb: str, request: Mapping[str, str]) -> tuple[int, bytes]:
        status, body = await self._post(endpoint, f"/v1/{verb}_lora_adapter", request, LOAD_SECONDS)
        if status == 404 and b'"error"' not in body:  # the path is unknown, not the adapter
            raise UpstreamError(
                "vLLM has runtime loading switched off; start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"
            )
        return status, body

    async def _post(self, endpoint: Endpoint, path: str, request: object, seconds: float) -> tuple[int, bytes]:
        upstream = self._upstreams[endpoint.name]
        status, body = await ask(upstream, path, self._key_line, msgspec.json.encode(request), seconds)
        if status == 401:
            raise unauthorized(upstream, self._key_line)
        return status, body


def words(status: int, body: bytes) -> str:
    """Return the message of vLLM's error, fit for a log and a terminal; its status if there is no message."""
    said: Any
    try:
        said = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        said = body.decode(errors="replace")
    if isinstance(said, dict):
        said = said.get("error", said.get("detail"))
    if isinstance(said, dict):
        said = said.get("message")
    text = " ".join(said.split())[:MAX_REASON_CHARACTERS] if isinstance(said, str) else ""
    return "".join(char if char.isprintable() else "?" for char in text) or f"vLLM answers with status {status}"
