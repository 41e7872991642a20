"""The admin port's labels and fits: what the commands do, one long one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pointsman.api.improve import improve_routes
from pointsman.config.load import load
from pointsman.improve import improver as module
from pointsman.improve import long_command
from pointsman.improve.improver import Improver
from pointsman.improve.labels_file import read_labels
from pointsman.observability.log import Log
from support.config_files import MINIMAL, category
from support.log import Memory
from support.process import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.heavy  # each command is a process of its own

TEXTS = ("What may a landlord keep of the deposit?", "Sum all even numbers below ten", "Who pays for the lift?")


class Asked:
    """A request with a body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self, _: float) -> bytes:
        return self._body


class Port:
    """The routes of an improver."""

    def __init__(self, improver: Improver, log: Memory) -> None:
        self._routes: dict[str, Any] = {one.path: one for one in improve_routes(improver)}
        self.log = log

    async def ask(self, path: str, **body: Any) -> tuple[int, Any]:
        answer = await self._routes[path].handler(Asked(json.dumps(body).encode()))
        return answer.status, json.loads(answer.body)

    async def state(self) -> Any:
        status, answer = await self.ask("/improve")
        assert status == 200
        return answer

    async def ended(self) -> Any:
        """What is told of the command once it has ended."""
        found: list[Any] = []

        async def over() -> bool:
            found.append((await self.state())["run"])
            return bool(found[-1]["state"] != "running")

        while not await over():
            await eventually(lambda: True, "")
        return found[-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    log = "pointsman: {log: {texts_file: texts.jsonl, feedback_file: said.jsonl}}\n"
    text = f"{MINIMAL}categories:\n{category('law')}{log}"
    (tmp_path / "config.yaml").write_text(text)
    rows = [{"hash": f"{n}" * 8, "text": text, "reason": "low_confidence"} for n, text in enumerate(TEXTS)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@contextlib.asynccontextmanager
async def opened(folder: Path, *, state: bool = True) -> AsyncIterator[Port]:
    log = Memory()
    config = folder / "config.yaml"
    improver = Improver(folder / "state" if state else None, config, lambda: load(config).config, Log("info", log))
    try:
        yield Port(improver, log)
    finally:
        await improver.close()


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets the program that runs in place of the command."""

    def program(code: str) -> None:
        monkeypatch.setattr(long_command, "COMMAND", (sys.executable, "-c", code))

    return program


async def test_texts_are_collected_labelled_and_taken_back(folder: Path) -> None:
    async with opened(folder) as port:
        assert (await port.state())["items"] == []
        status, answer = await port.ask("/improve/collect")
        assert (status, answer["state"]) == (202, "running")
        assert (await port.ended())["state"] == "done"
        answer = await port.state()
        assert (answer["texts_kept"], answer["categories"], answer["waiting"]) == (True, ["law"], 3)
        assert {item["text"] for item in answer["items"]} == set(TEXTS)

        assert (await port.ask("/improve/label", hash="0" * 8, label="law"))[0] == 200
        assert (await port.ask("/improve/label", hash="1" * 8, label="none"))[0] == 200
        answer = await port.state()
        assert ([item["hash"] for item in answer["items"]], answer["labels"]) == (
            ["2" * 8],
            {"law": 1, "out_of_scope": 1},
        )
        assert [one.label for one in read_labels(folder / "state/improve/labels.jsonl")] == ["law", "out_of_scope"]

        assert await port.ask("/improve/undo") == (200, {"hash": "1" * 8, "label": "out_of_scope"})
        assert (await port.state())["waiting"] == 2


async def test_it_collects_what_the_shadow_and_feedback_said_without_a_log(folder: Path) -> None:
    with (folder / "texts.jsonl").open("a") as texts:
        texts.write(json.dumps({"hash": "1" * 8, "text": TEXTS[1], "request_id": "r1", "shadow": "law"}) + "\n")
    said = {"event": "feedback", "request_id": "r2", "text_hash": "2" * 8, "score": 0}
    (folder / "said.jsonl").write_text(json.dumps(said) + "\n")
    async with opened(folder) as port:
        await port.ask("/improve/collect")
        await port.ended()
        items = {item["text"]: item for item in (await port.state())["items"]}
    assert {text: item["why"] for text, item in items.items()} == {
        TEXTS[0]: ["abstained"],
        TEXTS[1]: ["shadow_disagrees", "abstained"],
        TEXTS[2]: ["bad_feedback", "abstained"],
    }
    assert items[TEXTS[1]]["shadow"] == "law"


async def test_a_label_for_nothing_or_of_nothing_is_refused(folder: Path) -> None:
    async with opened(folder) as port:
        await port.ask("/improve/collect")
        await port.ended()
        for body in ({"hash": "9", "label": "law"}, {"hash": "0" * 8, "label": "cooking"}):
            status, answer = await port.ask("/improve/label", **body)
            assert (status, answer["error"]["code"]) == (409, "improve_refused")
        for odd in ({"hash": "0" * 8}, {"hash": "0" * 8, "label": 1}, {"hash": "", "label": "law"}):
            status, answer = await port.ask("/improve/label", **odd)
            assert (status, answer["error"]["code"]) == (400, "invalid_json")
        assert (await port.state())["labels"] == {}


async def test_what_a_command_complains_of_is_told(folder: Path) -> None:
    async with opened(folder) as port:
        await port.ask("/improve/fit")
        answer = await port.ended()
        assert (answer["command"], answer["state"]) == ("fit", "failed")
        assert "at least 10 are needed" in answer["said"][-1]
        assert '"state":"failed"' in port.log.getvalue()


async def test_a_command_that_cannot_be_started_has_failed_and_why_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_command, "COMMAND", (str(folder / "nowhere"),))
    async with opened(folder) as port:
        await port.ask("/improve/fit")
        answer = await port.ended()
        assert answer["state"] == "failed"
        assert "No such file or directory" in answer["said"][-1]


async def test_one_command_runs_at_a_time_and_can_be_cancelled(folder: Path, runs: Callable[[str], None]) -> None:
    runs("import os, sys, time; print(os.getpid(), file=sys.stderr, flush=True); time.sleep(600)")
    async with opened(folder) as port:
        await port.ask("/improve/fit")
        while not (said := (await port.state())["run"]["said"]):
            await eventually(lambda: True, "")
        for path in ("/improve/fit", "/improve/collect"):
            status, answer = await port.ask(path)
            assert (status, answer["error"]["code"]) == (409, "improve_busy")
        status, answer = await port.ask("/improve/cancel")
        assert (status, answer["state"]) == (200, "cancelled")
        with pytest.raises(ProcessLookupError):
            os.kill(int(said[0]), 0)
        assert (await port.ask("/improve/cancel"))[1]["error"]["code"] == "improve_idle"


async def test_a_command_ends_with_the_service_and_after_its_time(
    folder: Path, runs: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs("import time; time.sleep(600)")
    async with opened(folder) as port:
        await port.ask("/improve/fit")
    monkeypatch.setattr(module, "MAX_COMMAND_SECONDS", {"fit": 0.2})
    async with opened(folder) as port:
        await port.ask("/improve/fit")
        answer = await port.ended()
        assert (answer["state"], answer["said"]) == ("failed", ["it took longer than 0.2 s"])


async def test_of_what_a_command_says_the_last_lines_are_kept(folder: Path, runs: Callable[[str], None]) -> None:
    runs("import sys; [print(n, 'x' * 5000, file=sys.stderr) for n in range(500)]")
    async with opened(folder) as port:
        await port.ask("/improve/collect")
        answer = await port.ended()
        assert [line.split()[0] for line in answer["said"]] == [str(n) for n in range(480, 500)]
        assert max(map(len, answer["said"])) == 1_000


async def test_a_command_steps_aside(folder: Path, runs: Callable[[str], None]) -> None:
    runs("import os, sys, time\nwhile os.nice(0) < 10: time.sleep(0.01)\nprint('aside', file=sys.stderr)")
    async with opened(folder) as port:
        await port.ask("/improve/collect")
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert (await port.ended())["said"] == ["aside"]


async def test_without_a_state_directory_nothing_is_kept(folder: Path) -> None:
    async with opened(folder, state=False) as port:
        answer = await port.state()
        assert "no state directory" in answer["trouble"]
        assert (answer["items"], answer["labels"], answer["waiting"], answer["report"]) == ([], {}, 0, None)
        for path, body in (("collect", {}), ("fit", {}), ("undo", {}), ("label", {"hash": "0", "label": "law"})):
            status, answer = await port.ask(f"/improve/{path}", **body)
            assert (status, answer["error"]["code"]) == (409, "improve_off")


async def test_files_that_cannot_be_used_are_told(folder: Path) -> None:
    (folder / "state").write_text("no folder")
    async with opened(folder) as port:
        for path, body in (("", {}), ("/undo", {}), ("/label", {"hash": "0", "label": "law"})):
            status, answer = await port.ask(f"/improve{path}", **body)
            assert (status, answer["error"]["code"]) == (409, "improve_refused")
