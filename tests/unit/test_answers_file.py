"""Which answers can be judged outlives the process; no disk or damaged file holds it up, and none is judged twice."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pointsman import daemon_thread
from pointsman.app.persistence import persisted
from pointsman.app.supervisor import Supervisor
from pointsman.observability.answers import Answer, Answers
from pointsman.observability.log import Log
from pointsman.proxy.stored_responses import StoredResponses
from support.disk import Disk
from support.log import Memory
from support.virtual_loop import VirtualLoop

DAY = 86_400.0


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr(daemon_thread, "start", made.start)
    return made


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file in a state directory of its own."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path / "state" / "answers.json"


class Life:
    """One life of the service."""

    def __init__(self) -> None:
        self.answers = Answers()
        self.log = Memory()

    def get(self, *names: str, age: float = 0.0) -> None:
        """Let a client get answers."""
        path = "/v1/chat/completions"
        answer = Answer("ann", time.time() - age, path, "law-v2", "law", "classified", "canary", "0a")
        self.answers.restore([(name, answer) for name in names], time.time() - age)

    def find(self, name: str, author: str = "ann") -> Answer | None:
        return self.answers.find(name, author, time.time())

    def logged(self) -> list[Any]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


@contextmanager
def life(clock: VirtualLoop) -> Iterator[Life]:
    made = Life()
    log = Log("info", made.log)
    supervisor = Supervisor(log, lambda _: None)
    restored = persisted(StoredResponses(time.time), made.answers, supervisor, log)
    clock.run_until_complete(restored.__aenter__())
    yield made
    leaving = clock.create_task(restored.__aexit__(None, None, None))
    clock.advance(2.0)
    assert leaving.done()
    leaving.result()
    clock.run_until_complete(supervisor.close())
    log.flush()


def test_an_answer_of_before_a_restart_can_be_judged(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    """By who got it, and once in all."""
    with life(clock) as first:
        first.get("a", "b")
        judged = first.find("b")
        assert judged is not None
        first.answers.judged("b", judged)
    with life(clock) as second:
        found, other = second.find("a"), second.find("b")
        assert (found, other) == (first.find("a"), first.find("b"))
        assert found is not None
        assert other is not None
        assert (found.arm, found.draw, found.judged, other.judged) == ("canary", "0a", False, True)
        assert second.find("a", "ben") is None
    assert second.logged() == []


def test_it_can_be_for_a_day_however_often_the_service_restarts(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    with life(clock) as first:
        first.get("fresh", age=DAY - 60)
        first.get("old", age=DAY + 60)
    assert b"old" not in file.read_bytes()
    with life(clock):
        pass
    with life(clock) as third:
        assert third.find("fresh") is not None
    content = json.loads(file.read_bytes())
    content["answers"][0][1][1] -= 120
    file.write_text(json.dumps(content))
    with life(clock) as late:
        assert len(late.answers.entries(0.0)) == 0


def test_after_a_crash_none_is_judged_twice(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    """What is judged after a restart is not in the file that the end before wrote; so that is gone."""
    with life(clock) as first:
        first.get("a")
    with life(clock) as second:
        assert second.find("a") is not None
        assert not file.exists()
        with life(clock) as after_a_crash:
            assert after_a_crash.find("a") is None


def test_where_nothing_can_be_judged_nothing_is_written(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    with life(clock):
        pass
    assert (disk.writes, file.exists()) == (0, False)


def test_without_a_state_directory_answers_are_in_memory_alone(
    clock: VirtualLoop, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY")
    with life(clock) as service:
        service.get("a")
    assert disk.writes == 0


@pytest.mark.thorough
def test_as_many_answers_as_are_remembered_fit_into_the_file(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    with life(clock) as first:
        first.get(*(f"{number:064x}" for number in range(50_000)))
    with life(clock) as second:
        assert len(second.answers.entries(0.0)) == 50_000


def test_a_disk_that_hangs_does_not_hold_up_the_end(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    disk.hangs = True
    with life(clock) as service:
        service.get("a")
    (line,) = service.logged()
    assert (line["level"], line["event"]) == ("warning", "feedback")
    assert line["message"] == "the answers that can be judged were not stored: it took longer than 2 s"


def test_an_end_that_cannot_write_is_told(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    file.parent.write_bytes(b"no folder")
    with life(clock) as service:
        service.get("a")
    assert [line["message"].partition(":")[0] for line in service.logged()][-1] == (
        "the answers that can be judged were not stored"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"x",
        b'{"version":2,"answers":[]}',
        b'{"version":1,"answers":[["a",["ann"]]]}',
        b" " * (64 * 2**20 + 1),
    ],
    ids=["no JSON", "another version", "other fields", "more than 64 MiB"],
)
def test_a_file_that_cannot_be_read_is_told_of_and_left_behind(
    clock: VirtualLoop, disk: Disk, file: Path, content: bytes
) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    with life(clock) as service:
        service.get("a")
    (line,) = service.logged()
    assert str(file) in line["message"]
    assert "cannot be judged" in line["message"]
    with life(clock) as after:
        assert after.find("a") is not None
