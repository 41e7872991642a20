"""Whose the stored responses are outlives the process; no request, disk or damaged file can make it a burden."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pointsman import daemon_thread
from pointsman.app.persistence import persisted
from pointsman.app.supervisor import Supervisor
from pointsman.observability.answers import Answer, Answers
from pointsman.observability.log import Log
from pointsman.proxy.stored_responses import StoredResponse, StoredResponses
from pointsman.routing.conversations import ConversationState
from support.disk import Disk
from support.log import Memory
from support.virtual_loop import VirtualLoop

NOW = 1_000_000.0


@dataclass
class Service:
    clock: VirtualLoop
    responses: StoredResponses
    log: Memory
    answers: Answers = field(default_factory=Answers)

    def store(self, response_id: str = "r") -> None:
        self.clock.do(self.responses.add, response_id, "me", "a")

    def lines(self, event: str) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, self.log.getvalue().splitlines()) if line["event"] == event]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr(daemon_thread, "start", made.start)
    return made


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file in a state directory of its own."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path / "state" / "responses.json"


@contextmanager
def running(clock: VirtualLoop) -> Iterator[Service]:
    """One life of the service, with all that concerns the file."""
    log = Memory()
    service = Service(clock, StoredResponses(lambda: NOW), log)
    written = Log("info", log)
    supervisor = Supervisor(written, lambda _: None)
    restored = persisted(service.responses, service.answers, supervisor, written)
    clock.run_until_complete(restored.__aenter__())
    clock.advance(0.0)
    yield service
    leaving = clock.create_task(restored.__aexit__(None, None, None))
    clock.advance(2.0)
    assert leaving.done()
    leaving.result()
    clock.run_until_complete(supervisor.close())
    written.flush()


def test_so_it_does_the_decision_that_a_continuation_keeps(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    with running(clock) as first:
        clock.do(first.responses.add, "r", "me", "a", ConversationState("legal", 0.25))
    with running(clock) as second:
        entry = second.responses.find("r", "me")
        assert entry is not None
        assert entry.remembered == ConversationState("legal", 0.25)


def test_a_file_of_before_is_read(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    """It has no decisions."""
    file.parent.mkdir()
    file.write_text(json.dumps({"version": 1, "responses": [["r", "me", "a", NOW]]}))
    with running(clock) as service:
        assert service.responses.entries() == [StoredResponse("r", "me", "a", NOW)]


def test_the_next_process_knows_what_this_one_stored(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    with running(clock) as first:
        first.store()
    with running(clock) as second:
        assert second.responses.entries() == first.responses.entries()
        assert second.responses.find("r", "them") is None


def test_the_first_is_written_at_once_and_others_together_a_second_later(
    clock: VirtualLoop, disk: Disk, file: Path
) -> None:
    with running(clock) as service:
        service.store("r1")
        assert (disk.writes, b"r1" in file.read_bytes()) == (1, True)
        for number in range(2, 9):
            clock.advance(0.1)
            service.store(f"r{number}")
        clock.advance(0.29)
        assert disk.writes == 1
        clock.advance(0.01)
        assert (disk.writes, b"r8" in file.read_bytes()) == (2, True)
        clock.advance(100.0)
        assert disk.writes == 2
        service.store("late")
    assert disk.writes == 3


def test_what_comes_later_is_added_to_the_file_and_not_written_anew(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    """Else ten thousand responses would be written each second."""
    with running(clock) as service:
        service.store("r1")
        before, inode = file.read_bytes(), file.stat().st_ino
        clock.advance(1.0)
        clock.do(service.responses.add, "r2", "me", "b", ConversationState("legal", 0.25))
        added = file.read_bytes().removeprefix(before)
        assert json.loads(added) == ["r2", "me", "b", NOW, ["legal", 0.25, None, False, False, False]]
        assert file.stat().st_ino == inode
    with running(clock) as after:
        assert after.responses.entries() == service.responses.entries()


@pytest.mark.thorough
def test_after_ten_thousand_additions_the_file_is_written_anew(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    """So that it stays below what is read at a start."""
    with running(clock) as service:
        service.store("first")
        for second in range(20):
            for number in range(1_000):
                service.store(f"r{second}-{number}")
            clock.advance(1.0)
            assert file.read_bytes().count(b"\n") <= 10_001
        assert file.stat().st_size < 2 * 2**20
    with running(clock) as after:
        assert after.responses.entries() == service.responses.entries()


def test_a_line_that_cannot_be_read_costs_no_other_and_is_told(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    with running(clock) as first:
        for number in range(3):
            first.store(f"r{number}")
            clock.advance(1.0)
    snapshot, _, last = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(snapshot + b"\0" * 20 + b"\n" + last)
    with running(clock) as second:
        assert [entry.id for entry in second.responses.entries()] == ["r0", "r2"]
    (line,) = second.lines("stored_responses")
    assert (line["level"], line["message"].startswith(f"{file} has 1 lines that")) == ("warning", True)


def test_an_addition_that_a_crash_cut_off_costs_no_other(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    with running(clock) as first:
        for number in range(3):
            first.store(f"r{number}")
            clock.advance(1.0)
    file.write_bytes(file.read_bytes()[:-5])
    for _ in range(2):  # the second reads what the first wrote behind it
        with running(clock) as second:
            assert [entry.id for entry in second.responses.entries()][:2] == ["r0", "r1"]
            assert second.responses.find("r2", "me") is None
            second.store("r3")
        assert not second.lines("stored_responses")


def test_a_file_that_went_away_is_written_anew(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    with running(clock) as service:
        service.store("r1")
        file.unlink()
        clock.advance(1.0)
        service.store("r2")
        clock.advance(1.0)
        assert b"r1" in file.read_bytes()
        assert len(service.lines("task_failed")) == 1


def test_where_nothing_was_stored_nothing_is_written(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    with running(clock):
        clock.advance(100.0)
    assert disk.writes == 0
    assert not file.exists()


def test_the_end_writes_what_is_not_written_yet(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    with running(clock) as service:
        service.store("first")
        service.store("second")
        assert b"second" not in file.read_bytes()
    assert b"second" in file.read_bytes()


def test_without_a_state_directory_it_is_in_memory_alone(
    clock: VirtualLoop, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY")
    with running(clock) as service:
        service.store()
        assert service.responses.find("r", "me") is not None
    assert disk.writes == 0


def test_a_disk_that_hangs_holds_up_neither_the_service_nor_its_end(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    disk.hangs = True
    with running(clock) as service:
        service.store("r1")
        clock.advance(60.0)
        service.store("r2")
        assert service.responses.find("r2", "me") is not None
        assert disk.writes == 1, "one thread hangs, and no more"
    (line,) = service.lines("stored_responses")
    assert "were not stored" in line["message"]


def test_the_last_write_comes_after_one_that_is_in_progress(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    """Whichever is last stays."""
    disk.hangs = True
    with running(clock) as service:
        service.store("first")
        disk.hangs = False
        service.store("second")
        clock.call_later(1.0, disk.recovers)
    assert (disk.writes, b"second" in file.read_bytes()) == (2, True)
    assert not service.lines("stored_responses")


def test_a_write_that_fails_is_logged_and_tried_again(
    clock: VirtualLoop, disk: Disk, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.parent.write_bytes(b"no folder")
    with running(clock) as service:
        service.store()
        clock.advance(0.05)
        (failure,) = service.lines("task_failed")
        assert failure["task"] == "stored_responses"
        file.parent.unlink()
        clock.advance(1.0)
        assert file.exists()
    assert len(service.lines("task_failed")) == 1


def test_the_last_write_may_fail(clock: VirtualLoop, disk: Disk, file: Path) -> None:
    """That of the answers that can be judged, too."""
    answer = Answer("ann", time.time(), "/", "law-v2", "law", "classified", "canary", "0a")
    with running(clock) as service:
        service.answers.restore([("a", answer)], time.time())
        service.store("first")
        file.unlink()
        file.parent.rmdir()
        file.parent.write_bytes(b"no folder")
        service.store("second")
    for event in ("stored_responses", "feedback"):
        (line,) = service.lines(event)
        assert "were not stored: Not a directory" in line["message"]


BAD = {
    "no JSON": b"x",
    "empty": b"",
    "another version": b'{"version":2,"responses":[]}\n["r","me","a",1]\n',
    "another line first": b'["r","me","a",1]\n["r","me","a",1]\n',
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD.keys())
def test_a_file_that_cannot_be_read_is_told_of_and_replaced(
    clock: VirtualLoop, disk: Disk, file: Path, content: bytes
) -> None:
    """As that of the answers that can be judged is."""
    file.parent.mkdir()
    answers = file.with_name("answers.json")
    file.write_bytes(content)
    answers.write_bytes(content)
    with running(clock) as service:
        assert len(service.responses) == 0
        service.store()
    for event, path in (("stored_responses", file), ("feedback", answers)):
        (line,) = service.lines(event)
        assert line["level"] == "warning"
        assert str(path) in line["message"]
    with running(clock) as after:
        assert after.responses.find("r", "me") is not None
