"""The admin port lists the described categories, judges their examples, and adds some, each proven by a reload."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pointsman.app import described_categories
from pointsman.classify import nearness
from pointsman.classify.nearness import Nearness
from support.config_files import category
from support.described_world import CODE, FILE, HEALTH, started, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, CODE, HEALTH, category("undescribed"))
    return tmp_path


async def test_it_lists_texts_adapters_and_where_examples_go_that_are_judged_without_themselves(folder: Path) -> None:
    async with started(folder) as service:
        found = await service.listed()
        code, health = found["categories"]
        assert (code["name"], code["adapters"]) == ("code", ["base"])
        assert code["descriptions"] == ["Answers about python."]
        assert health["examples"] == ["blood pressure", "pressure", "landlord"]
        near = await service.near()
        assert (near["state"], near["key"]) == ("done", found["key"])
        assert {"category": "health", "position": 2, "chosen": None} in near["found"]["strays"]
        assert near["found"]["pairs"][0]["names"] == ["code", "health"]
        assert (found["kept"], found["trouble"]) == ([], None)


async def test_where_nothing_is_described_there_is_nothing_to_judge(folder: Path) -> None:
    write(folder, category("undescribed"))
    async with started(folder) as service:
        found, near = await service.listed(), await service.near()
    assert (found["categories"], found["key"]) == ([], None)
    assert near == {"key": None, "state": "done", "found": None}


async def test_an_added_example_counts_at_once_and_after_a_restart_and_never_in_the_operators_file(
    folder: Path,
) -> None:
    before = (folder / "config.yaml").read_bytes()
    async with started(folder) as service:
        status, answer = await service.add("code", " bridge \n")
        assert (status, answer["result"], answer["classifier"]) == (200, "applied", "kept")
        assert service.serves("code") == ("python", "javascript python", "bridge")
    async with started(folder) as service:
        assert service.serves("code")[-1] == "bridge"
        (kept,) = (await service.listed())["kept"]
        assert (kept["category"], kept["text"], kept["idle"]) == ("code", "bridge", None)
        status, _ = await service.ask("examples/undo", id=kept["id"])
        assert (status, service.file) == (200, "")
        assert service.serves("code") == ("python", "javascript python")
        status, answer = await service.ask("examples/undo", id=kept["id"])
        assert (status, answer["error"]["code"]) == (404, "no_example")
    assert (folder / "config.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("undescribed", "bridge", 'no example of "undescribed": it is no category that texts describe'),
        ("code", "pressure", 'it is an example of "health" already'),
        ("code", "Python", 'it is an example of "code" already'),
        ("code", " ", "the example is empty"),
        ("code", "x" * 10_001, "at most 10,000 are read"),
    ],
)
async def test_what_would_not_count_is_refused(folder: Path, name: str, text: str, said: str) -> None:
    async with started(folder) as service:
        status, answer = await service.add(name, text)
        assert (status, answer["error"]["code"]) == (409, "example_refused")
        assert said in answer["error"]["message"]
        assert (service.file, service.reloader.generation) == ("", 1)


async def test_a_full_file_takes_no_more_also_where_its_examples_do_not_count(folder: Path) -> None:
    row = '{{"category": "gone", "text": "prompt {}"}}\n'
    (folder / "state").mkdir()
    (folder / "state" / FILE).write_text("".join(row.format(number) for number in range(2_000)))
    async with started(folder) as service:
        assert "2,000 of its examples do not count" in "\n".join(service.reloader.serving.warnings)
        status, answer = await service.add("code", "bridge")
    assert (status, answer["error"]["code"]) == (409, "example_refused")
    assert 'takes no more examples of "code"; undo some' in answer["error"]["message"]


async def test_if_the_reload_fails_the_example_is_taken_back_and_the_reason_shown(folder: Path) -> None:
    async with started(folder) as service:
        await service.add("code", "bridge")
        kept = service.file
        write(folder, CODE, HEALTH, "  - {name: 7}\n")
        status, answer = await service.add("code", "weather")
        assert (status, answer["error"]["code"], service.file) == (422, "reload_failed", kept)
        assert "config.yaml:" in answer["error"]["message"]
        (one,) = (await service.listed())["kept"]
        status, answer = await service.ask("examples/undo", id=one["id"])
        assert (status, answer["error"]["code"], service.file) == (422, "reload_failed", kept)
        assert service.serves("code")[-1] == "bridge"


async def test_an_example_without_a_category_is_told_and_can_be_undone(folder: Path) -> None:
    async with started(folder) as service:
        await service.add("code", "bridge")
        write(folder, HEALTH)
        assert (await service.reloader.ask("request")).error is None
        (one,) = (await service.listed())["kept"]
        assert one["idle"] == "it is no category that texts describe"
        status, answer = await service.ask("examples/undo", id=one["id"])
        assert (status, answer["result"], service.file) == (200, "unchanged", "")
        assert service.reloader.serving.idle_examples == {}


async def test_a_change_of_the_file_counts_like_one_of_the_config(folder: Path) -> None:
    async with started(folder) as service:
        assert service.source.news() is None
        (folder / "state").mkdir()
        (folder / "state" / FILE).write_text('{"category": "code", "text": "bridge"}\n')
        assert service.source.news() is not None
        await service.reloader.ask("file")
        assert service.serves("code")[-1] == "bridge"


async def test_a_file_that_cannot_be_read_is_not_written_over_and_the_service_starts(folder: Path) -> None:
    (folder / "state" / FILE).mkdir(parents=True)
    async with started(folder) as service:
        assert f"{FILE} cannot be read (Is a directory)" in "\n".join(service.reloader.serving.warnings)
        for path in ("examples", "described"):
            status, answer = await service.ask(path, category="code", text="bridge")
            assert (status, answer["error"]["code"]) == (409, "example_refused")
            assert "the file of kept examples cannot be used: Is a directory" in answer["error"]["message"]


async def test_without_a_state_directory_there_is_nowhere_to_keep_examples(folder: Path) -> None:
    async with started(folder, state=False) as service:
        assert "no state directory" in (await service.listed())["trouble"]
        for path, body in (("examples", {"category": "code", "text": "bridge"}), ("examples/undo", {"id": "1"})):
            status, answer = await service.ask(path, **body)
            assert (status, answer["error"]["code"]) == (409, "example_refused")
            assert "no state directory" in answer["error"]["message"]


@pytest.mark.parametrize("body", [{}, {"category": "code"}, {"category": "code", "text": 7}, {"text": "a", "more": 1}])
async def test_a_body_of_another_form_is_refused(folder: Path, body: dict[str, Any]) -> None:
    async with started(folder) as service:
        for path in ("examples", "examples/undo"):
            status, answer = await service.ask(path, **body)
            assert (status, answer["error"]["code"]) == (400, "invalid_json")


async def test_of_a_long_text_the_beginning_is_shown(folder: Path) -> None:
    async with started(folder) as service:
        await service.add("code", "bridge " * 1_000)
        found = await service.listed()
    assert max(map(len, found["categories"][0]["examples"])) == len(found["kept"][0]["text"]) == 501


class Gate:
    """`nearness.judge`, which waits until a test lets it go on, and counts."""

    def __init__(self, judge: Callable[..., Nearness]) -> None:
        self._judge = judge
        self.loop = asyncio.get_running_loop()
        self.begun = 0
        self.open = asyncio.Event()

    def __call__(self, *texts: Any) -> Nearness:
        self.begun += 1
        asyncio.run_coroutine_threadsafe(self.open.wait(), self.loop).result()
        return self._judge(*texts)


async def test_one_judgment_runs_at_a_time_and_is_made_once_of_the_same_texts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it, and a reload meanwhile does not disturb it."""
    monkeypatch.setattr(described_categories, "JUDGE_SECONDS", 0.01)
    gate = Gate(nearness.judge)
    monkeypatch.setattr(nearness, "judge", gate)
    async with started(folder) as service:
        first = await asyncio.gather(*(service.near() for _ in range(5)))
        assert [one["state"] for one in first] == ["running"] * 5
        await service.add("code", "bridge")
        assert (await service.near())["state"] == "running"
        assert gate.begun == 1
        gate.open.set()
        judged: list[int] = []
        while len(judged) < 3:
            found = await service.near()
            judged += [found["found"]["judged"]] if found["state"] == "done" else []
        assert (judged, gate.begun) == ([6, 6, 6], 2)


async def test_why_nothing_can_be_judged_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Nearness:
        raise MemoryError("no memory")

    monkeypatch.setattr(nearness, "judge", fails)
    async with started(folder) as service:
        found = await service.near()
        assert (found["state"], found["error"]) == ("failed", "no memory")
