"""The thread that writes the log and the texts: whatever the reader or the disk does, nobody waits, no line is torn."""

from __future__ import annotations

import errno
import json
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pointsman.observability.log import Log, stderr_log
from pointsman.observability.record import Record
from pointsman.store.line_writer import LineWriter
from support.process import PATIENCE_SECONDS

LINE = b'{"number": %6d}' + b" " * 1000 + b"\n"
MANY = 6_000
"""Lines of more bytes than the queue and a pipe take."""


class Pipe:
    """Stderr, which is a pipe, and its reader."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.failing: list[str] = []
        self.log = LineWriter(self.writer, "log", self.lost, self.failing.append)

    def lost(self, lines: int, error: str | None) -> bytes:
        return b'{"dropped": %d, "error": %b}\n' % (lines, json.dumps(error).encode())

    def put(self, numbers: range, *, requests: bool = False) -> None:
        for number in numbers:
            self.log.put(LINE % number, requests=requests)

    def read(self, enough: Callable[[list[bytes]], bool]) -> list[dict[str, Any]]:
        """The lines that come, until there are enough; fails on one that is torn."""
        got = b""
        while not (got.endswith(b"\n") and enough(got.splitlines())):
            assert select.select([self.reader], [], [], PATIENCE_SECONDS)[0], f"nothing more comes after {got[-100:]!r}"
            got += os.read(self.reader, 2**20)
        return [json.loads(line) for line in got.splitlines()]

    def drop_all(self) -> None:
        """Let the thread end, wherever it is."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.writer)
        os.dup2(nowhere, self.reader)
        self.log.close(PATIENCE_SECONDS)
        assert not self.log._thread.is_alive()
        for file in (nowhere, self.writer, self.reader):
            os.close(file)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.drop_all()


def numbers(lines: list[dict[str, Any]]) -> list[int]:
    return [line["number"] for line in lines if "number" in line]


@pytest.mark.parametrize("blocking", [True, False])
def test_while_nobody_reads_lines_are_dropped_and_counted_and_it_is_told_once_there_is_room(
    pipe: Pipe, blocking: bool
) -> None:
    os.set_blocking(pipe.writer, blocking)
    pipe.put(range(MANY))
    dropped = pipe.log.dropped
    assert 0 < dropped < MANY
    got = pipe.read(lambda lines: len(lines) > MANY - dropped)
    expected = got[-1]
    assert expected == {"dropped": dropped, "error": None if blocking else "Resource temporarily unavailable"}
    written = numbers(got)
    assert written == list(range(len(written)))
    assert len(written) + dropped == MANY


def test_what_was_written_makes_room(pipe: Pipe) -> None:
    """Many times what the queue takes passes through it."""
    for begin in range(0, 10_000, 1_000):
        pipe.put(range(begin, begin + 1_000))
        assert numbers(pipe.read(lambda lines: len(lines) == 1_000))[0] == begin
    assert pipe.log.dropped == 0


def test_the_queue_has_a_bound(pipe: Pipe) -> None:
    """Of 4 MiB, beside what the pipe itself takes."""
    pipe.put(range(MANY))
    written = (MANY - pipe.log.dropped) * len(LINE % 0)
    assert 4 * 2**20 - 2**17 < written <= 4 * 2**20 + 2**17


def test_a_quarter_of_the_queue_is_kept_for_lines_that_are_not_requests(pipe: Pipe) -> None:
    pipe.put(range(MANY), requests=True)
    before = pipe.log.dropped
    assert before > 0
    pipe.put(range(MANY, MANY + 500))
    assert pipe.log.dropped == before
    got = pipe.read(lambda lines: lines[-1] == (LINE % (MANY + 499))[:-1])
    assert numbers(got)[-500:] == list(range(MANY, MANY + 500))
    assert [line["dropped"] for line in got if "dropped" in line] == [before]


def test_a_line_that_was_begun_is_continued_where_it_stopped(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up in the middle of a line, and is full for a while."""
    write, calls = os.write, 0

    def sometimes(file: int, data: bytes) -> int:
        nonlocal calls
        if file != pipe.writer:
            return write(file, data)
        calls += 1
        if calls % 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data[:700])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", sometimes)
        pipe.put(range(4))
        got = pipe.read(lambda lines: len(lines) == 4)
    assert numbers(got) == list(range(4))


@pytest.mark.parametrize("error", [errno.EPIPE, errno.ENOSPC, errno.EAGAIN, errno.EBADF, errno.EIO])
def test_no_error_of_a_write_reaches_who_logs_and_all_is_written_afterwards(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    write, failed, tries = os.write, threading.Event(), 0

    def broken(file: int, data: bytes) -> int:
        nonlocal tries
        if file != pipe.writer:
            return write(file, data)
        tries += 1
        if tries == 3:
            failed.set()
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", broken)
        pipe.put(range(3))
        assert failed.wait(PATIENCE_SECONDS)
        pipe.put(range(3, 5))
    assert numbers(pipe.read(lambda lines: len(lines) == 5)) == list(range(5))
    assert pipe.failing == [os.strerror(error)], "told once for a write, and not for each try"


def test_after_its_time_a_writer_that_is_closed_gives_up(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each reload while a disk is full would leave a thread that tries for ever."""
    write = os.write

    def full(file: int, data: bytes) -> int:
        if file != pipe.writer:
            return write(file, data)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        pipe.put(range(MANY))
        pipe.log.close(0.0)
        pipe.log._thread.join(PATIENCE_SECONDS)
        assert not pipe.log._thread.is_alive()


@pytest.mark.parametrize(("level", "expected"), [("warning", True), ("error", False)])
def test_a_notice_of_dropped_lines_is_a_warning(monkeypatch: pytest.MonkeyPatch, level: str, expected: bool) -> None:
    """`log.level` decides about it as about any other."""
    reader, writer = os.pipe()
    monkeypatch.setattr("sys.stderr", os.fdopen(writer, "wb", closefd=False))
    with stderr_log(level, journal=True) as log:
        while not log.dropped:
            log.write("error", "event", message="x" * 8_000)
        got = b""
        while b"last" not in got or got[-1:] != b"\n":
            got += os.read(reader, 2**20)
            if b"last" not in got:
                log.write("error", "last")
    notices = [line for line in got.splitlines() if b'"dropped"' in line]
    assert bool(notices) is expected
    for line in notices:
        assert line.startswith(b'<4>{"ts":"')
        told_of = json.loads(line[3:])
        assert (told_of["level"], told_of["event"]) == ("warning", "log")
        assert told_of["message"].startswith(f"{told_of['dropped']} lines dropped: stderr was not read")
    os.close(reader)
    os.close(writer)


def test_closing_writes_what_is_queued(pipe: Pipe) -> None:
    pipe.put(range(50))
    pipe.log.close(PATIENCE_SECONDS)
    assert numbers(pipe.read(lambda lines: len(lines) == 50)) == list(range(50))


@pytest.mark.parametrize("gone", [True, False])
def test_closing_takes_no_longer_than_it_may(pipe: Pipe, gone: bool) -> None:
    """Where the reader is gone, and where it stands still."""
    pipe.put(range(MANY))
    if gone:
        os.dup2(pipe.writer, pipe.reader)
    begun = time.monotonic()
    pipe.log.close(0.05)
    assert time.monotonic() - begun < 5.0
    assert pipe.log._thread.daemon


def test_without_a_stderr_nothing_else_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `2>&-`, where a connection may get its number."""
    monkeypatch.setattr("sys.stderr", None)
    with stderr_log("info", journal=False) as log:
        sink: Any = log._sink
        assert os.path.samestat(os.fstat(sink._file), Path(os.devnull).stat())
        log.write("info", "event")
    os.close(sink._file)


def test_a_log_that_is_closed_has_written_its_last_requests(capfd: pytest.CaptureFixture[str]) -> None:
    with stderr_log("info", journal=True) as log:
        log._pending.append(Record("last", "/v1/models"))
    assert '"request_id":"last"' in capfd.readouterr().err


def test_a_line_of_another_thread_leaves_the_held_lines_of_requests_alone(pipe: Pipe) -> None:
    """Only one thread may touch them."""
    log = Log("info", pipe.log)
    log._pending.append(Record("1", "/v1/models"))
    thread = threading.Thread(target=log.write, args=("info", "event"), kwargs={"request_id": "2"})
    thread.start()
    thread.join()
    assert len(log._pending) == 1
    log.write("info", "event", request_id="3")
    written = pipe.read(lambda lines: len(lines) == 3)
    assert [line["request_id"] for line in written] == ["2", "1", "3"]
