"""A daemon, the upstream behind it, and a client in front of it."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from multidict import CIMultiDictProxy
from yarl import URL

from support.daemon import Daemon
from support.fake_vllm import FakeVllm

CONFIG = Path(__file__).parents[2] / "config" / "config.yaml"
CHAT = "/v1/chat/completions"
TECHNICAL = "Explain async/await in JavaScript"
MEDICAL = "What causes high blood pressure?"


def shipped_config(port: int) -> dict[str, Any]:
    """The config that is shipped, with its endpoint at `port`."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    config["vllm_endpoints"][0]["port"] = port
    return config


def chat(text: Any = TECHNICAL, model: str = "MoM", **fields: Any) -> dict[str, Any]:
    """A chat request of one user message."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Service:
    daemon: Daemon
    vllm: FakeVllm
    http: aiohttp.ClientSession

    async def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> Reply:
        """POST JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} | (headers or {})
        url = URL(self.daemon.base_url + path, encoded=True)
        async with self.http.post(url, data=io.BytesIO(data), headers=sent) as response:
            return Reply(response.status, response.headers, await response.read())

    async def get(self, path: str, *, admin: bool = False) -> Reply:
        base = self.daemon.admin_url if admin else self.daemon.base_url
        async with self.http.get(base + path) as response:
            return Reply(response.status, response.headers, await response.read())
