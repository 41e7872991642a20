"""Two configs, `a` and `b`, that differ in all that decides a request, and a load that tells by which it was decided.

The endpoint's path, its key, the adapter, the system prompt and the category all carry the name of their side, and a
prompt between two categories is sure enough for `b` alone: a request that was decided half by one config and half by
the other shows.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from support.daemon import Daemon
from support.service import CHAT, chat

THRESHOLDS = {"a": 0.6, "b": 0.4}
BETWEEN_REASONS = {"low_confidence": "a", "classified": "b"}
"""By which side a prompt between two categories was decided; what an overloaded classifier says does not tell."""


def config(side: str, port: int, folder: Path, model_id: str, **options: Any) -> dict[str, Any]:
    """The config of a side; its key is written into `folder`. `options` are keys of `pointsman`."""
    key = folder / f"key-{side}"
    key.write_text(side)
    covers = {"technical": ["computer science"], "legal": ["law"], "rest": ["other"]}
    return {
        "classifier": {
            "category_model": {
                "model_id": model_id,
                "threshold": THRESHOLDS[side],
                "fallback_category": f"rest {side}",
            }
        },
        "vllm_endpoints": [{"name": f"vllm {side}", "address": f"http://127.0.0.1:{port}/{side}"}],
        "model_config": {"base": {"loras": [{"name": f"{name}-{side}"} for name in covers]}},
        "default_model": "base",
        "categories": [
            {
                "name": f"{name} {side}",
                "labels": labels,
                "system_prompt": f"You are {name}, said {side}",
                "model_scores": [{"model": "base", "lora_name": f"{name}-{side}"}],
            }
            for name, labels in covers.items()
        ],
        "pointsman": {
            "adapters": {"poll_interval_ms": 0},
            "relay": {"api_key_file": str(key)},
            **options,
        },
    }


async def answer(request: web.Request, body: bytes) -> web.StreamResponse:
    """Return an upstream's answer: the request itself, in a stream of several pieces if requested."""
    if request.path.endswith("/health"):
        return web.Response()
    asked = json.loads(body)
    system, model = asked["messages"][0]["content"], asked["model"]
    seen = [request.path.split("/")[1], request.headers["Authorization"].split()[1], model, system]
    if not asked.get("stream"):
        return web.json_response(seen)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for part in seen:
        await response.write(b"data: " + json.dumps(part).encode() + b"\n\n")
        await asyncio.sleep(0.01)
    await response.write(b"data: [DONE]\n\n")
    return response


@dataclass
class Load:
    """Requests one after another from several clients, until `over`; half of them are streams."""

    url: str
    sure: str
    """A prompt of one category."""
    between: str
    """A prompt whose likeliest category is less probable than `a` wants and more than `b` does."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    sides: list[str] = field(default_factory=list)
    """Of each request that was decided by one config."""
    mixed: list[list[str]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)
    """The loop's times of the beginning and the end of each answer in one piece."""

    @property
    def requests(self) -> int:
        """All that have ended."""
        return len(self.sides) + len(self.mixed) + len(self.dropped)

    async def run(self, clients: int) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            await asyncio.gather(*(self._client(http, number) for number in range(clients)))

    async def _client(self, http: aiohttp.ClientSession, number: int) -> None:
        count = number
        while not self.over.is_set():
            count += 1
            await self._ask(http, stream=count % 2 == 0, between=count % 3 == 0)

    async def _ask(self, http: aiohttp.ClientSession, *, stream: bool, between: bool) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        text = self.between if between else f"{self.sure} {self.requests}"  # its class is not remembered
        try:
            async with http.post(self.url, json=chat(text, stream=stream)) as response:
                body = await response.text()
        except aiohttp.ClientError as error:
            self.dropped.append(repr(error))
            return
        if not stream:
            self.spans.append((started, loop.time()))
        seen = _streamed(body) if stream else body
        if response.status != 200 or seen is None:
            self.dropped.append(f"{response.status}: {body}")
            return
        headers = response.headers
        marks = [*json.loads(seen), headers["x-vsr-selected-model"], headers["x-vsr-selected-category"]]
        if between:
            marks.append(BETWEEN_REASONS.get(headers["x-pointsman-reason"], marks[0]))
        found = {mark[-1] for mark in marks}
        if len(found) == 1:
            self.sides.append(min(found))
        else:
            self.mixed.append(marks)


def _streamed(body: str) -> str | None:
    """The parts of a stream as a list; None where it is not whole."""
    parts = body.split("\n\n")
    if parts[-2:] != ["data: [DONE]", ""]:
        return None
    return f"[{','.join(part.removeprefix('data: ') for part in parts[:-2])}]"


def put(file: Path, tree: Any) -> None:
    """Write a config as YAML in one step: another file takes the old one's place.

    Addresses to listen at stay, and so does the time that a classification has unless the new one says something of it.
    """
    before = (yaml.safe_load(file.read_text()) or {})["pointsman"]
    options = {"server": before["server"]} | tree.get("pointsman", {})
    if "deadline_ms" in before.get("classifier", {}):
        options["classifier"] = {"deadline_ms": before["classifier"]["deadline_ms"]} | options.get("classifier", {})
    other = file.with_suffix(".new")
    other.write_text(yaml.safe_dump(tree | {"pointsman": options}, sort_keys=False))
    other.replace(file)


async def reload(daemon: Daemon) -> tuple[int, Any]:
    """`POST /reload`: status and answer."""
    async with aiohttp.ClientSession() as http, http.post(daemon.admin_url + "/reload") as response:
        return response.status, await response.json()


def url(daemon: Daemon) -> str:
    return daemon.base_url + CHAT
