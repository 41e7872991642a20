"""An artifact that neither serves nor is in shadow says what it makes of a text that somebody tries."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from pointsman.adapters.catalog import ServedModels
from pointsman.api.admin import candidate_route
from pointsman.app import candidates as module
from pointsman.app.candidates import Candidates
from pointsman.app.shadow_process import ShadowProcess
from pointsman.classify.classifier import Classifier
from pointsman.classify.manifest import MODEL, TOKENIZER
from pointsman.classify.shadow import ShadowAnswer, ShadowOptions
from pointsman.errors import HttpError, RequestError, TooBusy
from pointsman.formats import CHAT
from pointsman.proxy.stored_responses import StoredResponses
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.router import RoutedRequest, Router
from support import toy_artifact
from support.config_files import LABELS
from support.process import eventually, shadow_processes
from support.toy_config import category, config

pytestmark = pytest.mark.heavy  # each candidate is a process of its own

Make = Callable[..., AbstractContextManager[Classifier]]

OTHER = dict(toy_artifact.WORDS) | {"landlord": "health"}
"""The words of the candidate, which takes what is about a landlord for a matter of health."""


class Asked:
    """A request with a query and a body."""

    def __init__(self, query: str, body: bytes) -> None:
        self.head = type("Head", (), {"query": query})
        self._body = body

    async def read(self, _: float) -> bytes:
        return self._body


@dataclass
class World:
    """A router with its classifier, and candidates in a folder."""

    folder: Path
    router: Router
    candidates: Candidates

    async def route(self, text: str, model: str = "MoM") -> RoutedRequest:
        return await self.router.route(parse_request(CHAT, chat(text, model), self.router.finder))

    async def judge(self, name: str, text: str, model: str = "MoM") -> dict[str, Any]:
        return await self.candidates.judge(name, self.router, await self.route(text, model))


def chat(text: str, model: str = "MoM") -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}]}).encode()


class Slow:
    """Holds up the start of processes: they are `begun`, and load from when they may be `ready`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.ready, self.started = asyncio.Event(), asyncio.Event(), 0
        real = ShadowProcess.start

        async def start(options: ShadowOptions) -> ShadowProcess:
            self.begun.set()
            self.started += 1
            await self.ready.wait()
            return await real(options)

        monkeypatch.setattr(ShadowProcess, "start", start)

    async def leave(self, world: World, name: str) -> None:
        """Ask for an artifact, and leave while it is loaded."""
        self.begun.clear()
        asked = asyncio.create_task(world.judge(name, "landlord"))
        await self.begun.wait()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifacts `one` and `two`, `broken`, and `empty`, which is none."""
    made = tmp_path_factory.mktemp("candidates")
    contents = {MODEL: toy_artifact.model(LABELS, OTHER), TOKENIZER: toy_artifact.tokenizer(OTHER)}
    for name in ("one", "two", "broken"):
        toy_artifact.build_measured(made / name, contents, labels=list(LABELS))
    (made / "empty").mkdir()
    (made / "broken" / MODEL).write_bytes(b"no model")
    return made


@pytest.fixture
def make_world(make_classifier: Make, folder: Path) -> Callable[[], Any]:
    @asynccontextmanager
    async def make() -> AsyncIterator[World]:
        async def folder_of(name: str) -> Path:
            if not (folder / name).is_dir():
                raise RequestError("no such artifact", status=HTTPStatus.NOT_FOUND, code="no_artifact")
            return folder / name

        with make_classifier() as first:
            found = Candidates(folder_of)
            options = config(*(category(name) for name in ("technical", "medical", "legal")))
            try:
                yield World(folder, Router(options, first, ServedModels), found)
            finally:
                await found.close()
            assert shadow_processes() == set(), "its process ends with it"

    return make


async def test_it_tells_decision_scores_and_thresholds_of_the_text_alone(make_world: Any) -> None:
    async with make_world() as world:
        judged = await world.judge("one", "My landlord")
        mine = (await world.route("My landlord")).decision

    assert mine.model == "legal-lora"
    assert (judged["artifact"], judged["decision"].model, judged["decision"].category) == (
        "one",
        "medical-lora",
        "medical",
    )
    assert next(iter(judged["categories"])) == "medical"
    assert set(judged["thresholds"]) == {"technical", "medical", "legal"}
    assert next(iter(judged["labels"])) == "health"


async def test_one_at_a_time_is_loaded_and_it_stays_for_the_next_text(make_world: Any) -> None:
    async with make_world() as world:
        await world.judge("one", "landlord")
        first = shadow_processes()
        await world.judge("one", "blood")
        assert shadow_processes() == first, "it is loaded once"
        await asyncio.gather(*(world.judge(name, "python") for name in ("two", "one", "two")))
        assert len(shadow_processes()) == 1
        assert shadow_processes() != first


async def test_its_process_ends_when_nobody_has_asked_for_a_while(
    make_world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.05)
    async with make_world() as world:
        await world.judge("one", "landlord")
        await eventually(lambda: not shadow_processes(), "its process has ended")
        assert (await world.judge("one", "landlord"))["decision"].model == "medical-lora"


async def test_one_that_is_replaced_under_its_name_is_loaded_anew(make_world: Any, tmp_path: Path) -> None:
    async with make_world() as world:
        contents = {MODEL: toy_artifact.model(), TOKENIZER: toy_artifact.tokenizer()}
        made = toy_artifact.build_measured(tmp_path / "again", contents, labels=list(LABELS))
        await world.judge("one", "landlord")
        (world.folder / "one").rename(tmp_path / "before")
        made.rename(world.folder / "one")
        try:
            assert (await world.judge("one", "landlord"))["decision"].model == "legal-lora"
        finally:
            (world.folder / "one").rename(made)
            (tmp_path / "before").rename(world.folder / "one")


async def test_what_cannot_be_loaded_or_dies_is_told_and_the_next_one_is_tried(make_world: Any) -> None:
    async with make_world() as world:
        for name, code in (("broken", "candidate_failed"), ("none", "no_artifact")):
            with pytest.raises(HttpError) as failed:
                await world.judge(name, "landlord")
            assert failed.value.code == code
        await world.judge("one", "landlord")
        (pid,) = shadow_processes()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(HttpError, match="one cannot be tried: ended by signal 9"):
            await world.judge("one", "landlord")
        assert (await world.judge("one", "landlord"))["decision"].model == "medical-lora"


async def test_a_name_that_cannot_be_read_leaves_the_loaded_one_alone(make_world: Any) -> None:
    async with make_world() as world:
        await world.judge("one", "landlord")
        before = shadow_processes()
        with pytest.raises(HttpError, match="empty cannot be tried"):
            await world.judge("empty", "landlord")
        assert shadow_processes() == before


async def test_a_disk_that_hangs_takes_one_thread(make_world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = threading.Event()
    async with make_world() as world:
        monkeypatch.setattr(module, "READ_SECONDS", 0.01)
        monkeypatch.setattr("pointsman.classify.artifact.read_manifest", lambda _: ends.wait())
        try:
            for _ in range(3):
                with pytest.raises(HttpError, match=r"could not be read within 0.01 s"):
                    await world.judge("one", "landlord")
            assert sum(one.name == "candidate" for one in threading.enumerate()) == 1
        finally:
            ends.set()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    """Have each process load until it may be ready."""
    return Slow(monkeypatch)


async def test_one_that_loads_slowly_goes_on_when_who_asked_has_left_or_waited_long_enough(
    make_world: Any, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make_world() as world:
        await slow.leave(world, "one")
        with monkeypatch.context() as patched:
            patched.setattr(module, "WAIT_SECONDS", 0.05)
            with pytest.raises(TooBusy, match="one is still being loaded"):
                await world.judge("one", "landlord")
        slow.ready.set()
        assert (await world.judge("one", "landlord"))["decision"].model == "medical-lora"
        assert slow.started == 1


async def test_one_that_loads_for_nobody_ends_once_it_is_loaded_or_another_is_asked(
    make_world: Any, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", 0)
    async with make_world() as world:
        await slow.leave(world, "one")
        again = asyncio.create_task(world.judge("one", "landlord"))
        await eventually(world.candidates._lock.locked, "it is asked again")
        slow.ready.set()
        assert (await again)["artifact"] == "one"
        assert slow.started == 1, "it does not end before it is loaded"
        await eventually(lambda: not shadow_processes(), "it has ended")
        slow.ready.clear()
        monkeypatch.setattr(module, "IDLE_SECONDS", 60)
        await slow.leave(world, "one")
        loading = world.candidates._loaded.starting
        asked = asyncio.create_task(world.judge("two", "landlord"))
        await eventually(loading.cancelled, "another takes its place")
        slow.ready.set()
        assert (await asked)["artifact"] == "two"


async def test_who_leaves_ends_it_so_that_no_answer_counts_for_another_text(
    make_world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking, real = asyncio.Event(), ShadowProcess.ask

    async def ask(process: ShadowProcess, text: str) -> ShadowAnswer:
        asking.set()
        return await real(process, text)

    async with make_world() as world:
        await world.judge("one", "landlord")
        (pid,) = shadow_processes()
        os.kill(pid, signal.SIGSTOP)
        monkeypatch.setattr(ShadowProcess, "ask", ask)
        asked = asyncio.create_task(world.judge("one", "python"))
        await asking.wait()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert (await world.judge("one", "landlord"))["decision"].model == "medical-lora"


async def test_few_wait_for_it(make_world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_CALLERS", 2)
    async with make_world() as world:
        asked = [asyncio.create_task(world.judge("one", "landlord")) for _ in range(3)]
        found = await asyncio.gather(*asked, return_exceptions=True)

    assert [getattr(one, "status", 200) for one in found] == [200, 200, 503]


async def test_of_a_request_that_is_not_classified_there_is_no_opinion(make_world: Any) -> None:
    async with make_world() as world:
        judged = await world.judge("one", "landlord", model="legal-lora")

    assert (judged["decision"], judged["labels"]) == (None, {})


async def test_the_admin_port_asks_it_by_name(make_world: Any) -> None:
    async with make_world() as world:
        released: list[bool] = []
        begin = (world.router, lambda: released.append(True))
        handler: Any = candidate_route(lambda: begin, StoredResponses(lambda: 0.0), world.candidates.judge).handler
        answer = await handler(Asked("artifact=one", chat("landlord")))
        assert json.loads(answer.body)["decision"]["model"] == "medical-lora"
        for query, body, code in (
            ("", chat("x"), "invalid_query"),
            ("artifact=one&artifact=two", chat("x"), "invalid_query"),
            ("artifact=none", chat("landlord"), "no_artifact"),
            ("artifact=one", b"{", "invalid_json"),
        ):
            answer = await handler(Asked(query, body))
            assert json.loads(answer.body)["error"]["code"] == code, query
        assert len(released) == 3
