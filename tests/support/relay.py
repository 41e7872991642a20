"""A daemon that only relays (every request names its model) in front of hostile upstreams."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import toy_artifact
from support.daemon import Daemon, run_daemon
from support.hostile import Hostile
from support.metrics import Metrics, scrape
from support.process import eventually
from support.raw_client import Got, RawClient, ask, chat, connect

Options = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Relay:
    daemon: Daemon
    upstream: Hostile

    @property
    def url(self) -> str:
        return self.daemon.base_url

    def client(self, **options: Any) -> contextlib.AbstractAsyncContextManager[RawClient]:
        return connect(self.url, **options)

    async def ask(self, body: Mapping[str, Any] | bytes | None = None, *fields: str, **options: Any) -> Got:
        return await ask(self.url, chat() if body is None else body, *fields, **options)

    async def metrics(self) -> Metrics:
        return await scrape(self.daemon)

    async def outcome(self, request_id: str) -> dict[str, Any]:
        """The line of a request in the log; fails where it has more than one."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            found[:] = [line for line in self.daemon.log_lines() if line.get("request_id") == request_id]
            return bool(found)

        await eventually(look, f"the daemon logs {request_id}")
        (line,) = found
        return line


def relay_config(model_id: str, *ports: int, **options: Mapping[str, Any]) -> dict[str, Any]:
    """Endpoints `a`, `b`, ... at these ports, all with the model `base`; `options` are the keys of `pointsman`."""
    names = "abcdefgh"
    return {
        "classifier": {"category_model": {"model_id": model_id}},
        "vllm_endpoints": [
            {"name": name, "address": "127.0.0.1", "port": port} for name, port in zip(names, ports, strict=False)
        ],
        "model_config": {"base": {}},
        "default_model": "base",
        "pointsman": {"classifier": {"threads": 1}, **options},
    }


@contextlib.asynccontextmanager
async def run_relay(
    folder: Path,
    *upstreams: Hostile,
    model_id: str | None = None,
    weights: Mapping[str, float] | None = None,
    exit_code: int = 0,
    env: Mapping[str, str] | None = None,
    stderr: int | None = None,
    files: int | None = None,
    **options: Any,
) -> AsyncIterator[Relay]:
    """Run a daemon before these upstreams; `relay.upstream` is the first. Its classifier is a toy by default.

    `files` limits the files that it may open.
    """
    if model_id is None:
        model_id = str(toy_artifact.build_measured(folder / "toy"))
    config = relay_config(model_id, *(upstream.port for upstream in upstreams), **options)
    for endpoint in config["vllm_endpoints"]:
        endpoint["weight"] = (weights or {}).get(endpoint["name"], 1)
    async with run_daemon(config, folder, exit_code=exit_code, env=env, stderr=stderr, files=files) as daemon:
        yield Relay(daemon, upstreams[0])
