"""Show the described categories, judge them on demand, and add examples to them, each proven by a reload."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from pointsman import daemon_thread
from pointsman.app.generations import Generations
from pointsman.app.prepare import PreparedConfig
from pointsman.app.reload import Reloader
from pointsman.classify import nearness
from pointsman.classify.category_head import features_of, texts_of
from pointsman.classify.classifier import Classifier
from pointsman.classify.nearness import Nearness
from pointsman.classify.workers import NICE_BACKGROUND, lower_priority
from pointsman.config import kept_examples
from pointsman.config.kept_examples import KeptExample, WithKept
from pointsman.config.model import Config
from pointsman.daemon_thread import SerialExecutor
from pointsman.errors import RequestError
from pointsman.server.response import Response, json_response

T = TypeVar("T")
MAX_SHOWN_CHARACTERS = 500
# A disk that hangs delays no request for longer.
DISK_SECONDS = 5.0
# Most configs are judged in this time; who asks about another one asks again.
JUDGE_SECONDS = 1.0
NOWHERE = "there is no state directory ($STATE_DIRECTORY), so there is nowhere to keep examples"


class DescribedCategories:
    """The described categories of the config in use; one judgment and one change at a time."""

    def __init__(self, state: Path | None, generations: Generations, reloader: Reloader) -> None:
        self._state = state
        self._generations = generations
        self._reloader = reloader
        self._lock = asyncio.Lock()
        self._disk = SerialExecutor("examples")
        self._changes: set[asyncio.Task[Response]] = set()
        self._judged = ""
        """The key of the head that is judged, or was last."""
        self._judging: asyncio.Task[dict[str, Any]] | None = None

    async def listed(self) -> Response:
        """Return the texts, and the kept examples; raises RequestError."""
        serving, state = self._reloader.serving, self._state
        kept = [] if state is None else await self._on_disk(lambda: kept_examples.read(state))
        idle = serving.idle_examples
        found = {
            "key": _key(serving.classifier),
            "categories": await self._on_disk(lambda: _categories(serving.config, serving.classifier)),
            "kept": [
                {"id": one.id, "category": one.category, "text": _cut(one.text), "idle": idle.get(one)} for one in kept
            ],
            "trouble": NOWHERE if state is None else None,
        }
        return json_response(found)

    async def near(self) -> Response:
        """Return who is near whom by the texts that `listed` has with the same key, as far as it is known in time."""
        serving = self._reloader.serving
        key = _key(serving.classifier)
        if key is not None:
            self._judge(key, serving.config, serving.classifier)
        if self._judging is not None:
            await asyncio.wait([self._judging], timeout=JUDGE_SECONDS)
            if self._judged == key and self._judging.done():
                return json_response({"key": key} | self._judging.result())
        return json_response({"key": key, "state": "running" if key else "done", "found": None})

    async def add(self, category: str, text: str) -> Response:
        """Keep an example if a config with it can be served; raises RequestError."""
        return await self._begin(self._added(KeptExample(category, text.strip())))

    async def undo(self, example: str) -> Response:
        """Remove a kept example by its id; raises RequestError."""
        return await self._begin(self._undone(example))

    async def close(self) -> None:
        """Give up the judgment."""
        if self._judging is not None:
            self._judging.cancel()
            await asyncio.wait([self._judging])

    async def _begin(self, change: Coroutine[Any, Any, Response]) -> Response:
        """Run a change to its end, even if the client leaves."""
        task = asyncio.get_running_loop().create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        return await asyncio.shield(task)

    async def _added(self, one: KeptExample) -> Response:
        async with self._lock:
            state = self._state_directory()
            serving = self._reloader.serving
            kept = await self._on_disk(lambda: kept_examples.read(state))
            tried = await self._on_disk(lambda: _with(one, serving))
            if (why := tried.idle.get(one)) is not None:
                raise _refused(f'no example of "{one.category}": {why}')
            if kept_examples.is_full(kept, one.category):
                raise _refused(f'{state / kept_examples.NAME} takes no more examples of "{one.category}"; undo some')
            return await self._turn(kept, [*kept, one], "example added")

    async def _undone(self, example: str) -> Response:
        async with self._lock:
            state = self._state_directory()
            kept = await self._on_disk(lambda: kept_examples.read(state))
            left = [one for one in kept if one.id != example]
            if len(left) == len(kept):
                message = f"there is no kept example {example!r}; GET /adapters/described lists them"
                raise RequestError(message, status=HTTPStatus.NOT_FOUND, code="no_example")
            return await self._turn(kept, left, "example undone")

    async def _turn(self, before: list[KeptExample], after: list[KeptExample], trigger: str) -> Response:
        """Write other examples and reload; if the config cannot be served with them, write those from before."""
        state = self._state_directory()
        await self._on_disk(lambda: kept_examples.write(state, after))
        outcome = await asyncio.shield(self._reloader.ask(trigger))
        if outcome.error is not None:
            await self._on_disk(lambda: kept_examples.write(state, before))
            return outcome.response()
        return json_response(outcome.fields())

    def _judge(self, key: str, config: Config, classifier: Classifier) -> None:
        """Begin to judge the texts of a head, unless they are known or others are judged; keep the encoder open."""
        if self._judged == key or not (self._judging is None or self._judging.done()):
            return

        def work() -> Nearness:
            lower_priority(NICE_BACKGROUND)
            texts = texts_of(config, classifier.artifact.manifest)
            return nearness.judge(*features_of(texts, classifier.artifact, classifier.encoder.features))

        async def judgment() -> dict[str, Any]:
            try:
                return {"state": "done", "found": await asyncio.wrap_future(daemon_thread.start(work, "nearness"))}
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told
                return {"state": "failed", "error": str(error)}

        self._judged = key
        self._judging = asyncio.get_running_loop().create_task(judgment())
        release = self._generations.hold()
        self._judging.add_done_callback(lambda _: release())

    def _state_directory(self) -> Path:
        if self._state is None:
            raise _refused(NOWHERE)
        return self._state

    async def _on_disk(self, work: Callable[[], T]) -> T:
        """Run disk work, which may hang, in a thread; raises RequestError."""
        try:
            return await self._disk.run(work, DISK_SECONDS)
        except OSError as error:
            raise _refused(f"the file of kept examples cannot be used: {error.strerror}") from error


def _with(one: KeptExample, serving: PreparedConfig) -> WithKept:
    manifest = serving.classifier.artifact.manifest
    return kept_examples.with_kept(serving.config, manifest.labels, [one], describes=manifest.features is not None)


def _key(classifier: Classifier) -> str | None:
    """Return the hash of the texts that are scored; None if no category is described."""
    return None if classifier.head is None else classifier.head.key


def _categories(config: Config, classifier: Classifier) -> list[dict[str, Any]]:
    texts = texts_of(config, classifier.artifact.manifest)
    adapters = {one.name: [entry.target for entry in one.model_scores] for one in config.categories}
    return [
        {
            "name": name,
            "adapters": adapters[name],
            "descriptions": list(map(_cut, descriptions)),
            "examples": list(map(_cut, examples)),
        }
        for name, (descriptions, examples) in texts.items()
    ]


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"


def _refused(why: str) -> RequestError:
    return RequestError(why, status=HTTPStatus.CONFLICT, code="example_refused")
