"""The described categories of a service without listeners, whose classifier is the toy encoder."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointsman.api.described import described_routes
from pointsman.app.described_categories import DescribedCategories
from pointsman.app.generations import Generations
from pointsman.app.reload import Reloader
from pointsman.app.source import ConfigSource
from pointsman.app.systemd import Notifier
from pointsman.observability.log import Log
from pointsman.server.routes import Route
from support import toy_artifact
from support.config_files import MINIMAL, category
from support.log import Memory

CODE = category("code", "description: Answers about python.", "examples: [python, javascript python]")
HEALTH = category("health", "description: About blood.", "examples: [blood pressure, pressure, landlord]")
FILE = "kept_examples.jsonl"
_SECTION = "classifier: {category_model: {model_id: encoder}}\npointsman: {classifier: {deadline_ms: 60000}}\n"


class _Body:
    """A request with a body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self, _: float) -> bytes:
        return self._body


@dataclass
class DescribedWorld:
    """A service that has started with the file of a folder, without its listeners."""

    source: ConfigSource
    generations: Generations
    reloader: Reloader
    routes: list[Route]

    async def ask(self, path: str, **body: Any) -> tuple[int, Any]:
        (handler,) = (one.handler for one in self.routes if one.path == f"/adapters/{path}")
        answer: Any = await handler(_Body(json.dumps(body).encode()))  # type: ignore[arg-type]
        return answer.status, json.loads(answer.body)

    async def told(self, path: str) -> Any:
        status, found = await self.ask(path)
        assert status == 200
        return found

    async def listed(self) -> Any:
        return await self.told("described")

    async def near(self) -> Any:
        return await self.told("near")

    async def add(self, category: str, text: str) -> tuple[int, Any]:
        return await self.ask("examples", category=category, text=text)

    def serves(self, category: str) -> tuple[str, ...]:
        (found,) = (one for one in self.reloader.serving.config.categories if one.name == category)
        return found.examples

    @property
    def file(self) -> str:
        assert self.source.state is not None
        path = self.source.state / FILE
        return path.read_text() if path.exists() else ""


def write(folder: Path, *categories: str) -> None:
    """Write a config with these categories."""
    (folder / "config.yaml").write_text(MINIMAL + _SECTION + "categories:\n" + "".join(categories))


@contextlib.asynccontextmanager
async def started(folder: Path, *, state: bool = True) -> AsyncIterator[DescribedWorld]:
    """Start with the config of a folder, and end with the block."""
    if not (folder / "encoder").exists():
        toy_artifact.encoder(folder / "encoder")
    source = ConfigSource(folder / "config.yaml", state=folder / "state" if state else None)
    prepared = source.prepare()
    generations = Generations(prepared, Log("info", Memory()))
    reloader = Reloader(source, prepared, generations, Notifier(None))
    task = asyncio.create_task(reloader.run())
    found = DescribedCategories(source.state, generations, reloader)
    try:
        yield DescribedWorld(source, generations, reloader, described_routes(found))
    finally:
        await found.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await generations.close()
        generations.log.flush()
