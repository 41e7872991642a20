"""Files of rows are bounded and their owner's alone; what a crash, a full disk or others do to a row costs no other.

What uses the store relies on these rules: the files of texts, feedback, labels, responses and answers, the worklist and
the overlay.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pointsman import files
from pointsman.errors import CannotStart
from pointsman.store import document, rotated_file
from pointsman.store.rotated_file import RotatedFile, alone
from pointsman.store.rows_file import RowsFile
from support.process import eventually


class Row(msgspec.Struct):
    name: str
    text: str = ""


def file_at(path: Path, max_bytes: int = 1_000_000) -> RowsFile[Row]:
    return RowsFile(path, Row, max_bytes)


def add(path: Path, *names: str, max_rows: int = 1_000) -> None:
    file_at(path).append([Row(name) for name in names], max_rows=max_rows, sync=False)


def names(path: Path) -> list[str | None]:
    return [None if row is None else row.name for row in file_at(path).read()]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextlib.contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file can grow beyond this size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows"


# --- rows that are written at once ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b'{"name": "b", "te',
        b"no JSON",
        b'{"text": "no name"}',
        b'{"name": "\xff"}',
        b'{"x":' + b"[" * 100_000,
        b"\0" * 9,
    ],
)
def test_a_line_that_is_no_row_costs_no_other(path: Path, line: bytes) -> None:
    """Also if it is the last and has no end, as after a crash."""
    add(path, "a")
    with path.open("ab") as file:
        file.write(line)
    assert names(path) == ["a", None]
    add(path, "c")
    assert names(path) == ["a", None, "c"]


def test_a_full_disk_costs_the_rows_that_do_not_fit_and_is_told(path: Path) -> None:
    add(path, "a")
    with full_disk(path.stat().st_size + 5), pytest.raises(OSError, match="too large"):
        add(path, "b")
    assert names(path) == ["a", None]
    add(path, "c")
    assert names(path) == ["a", None, "c"]


def test_a_file_that_is_full_takes_no_rows(path: Path) -> None:
    add(path, "a", "b")
    with pytest.raises(OSError, match="has 2 rows"):
        add(path, "c", max_rows=2)
    assert names(path) == ["a", "b"]


def test_of_a_file_so_many_bytes_are_read(path: Path) -> None:
    add(path, "a")
    size = path.stat().st_size
    assert len(file_at(path, size).read()) == 1
    with pytest.raises(OSError, match="larger than"):
        file_at(path, size - 1).read()


@pytest.mark.parametrize("sync", [True, False])
def test_rows_are_on_the_disk_where_that_is_wanted(path: Path, monkeypatch: pytest.MonkeyPatch, *, sync: bool) -> None:
    synced: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda _: synced.append(path.read_bytes()))
    file_at(path).append([Row("a")], max_rows=1, sync=sync)
    assert synced == [path.read_bytes()] * sync


def test_rows_are_replaced_in_one_step(path: Path) -> None:
    """Whoever reads the old ones reads all of them, and a write that fails leaves them."""
    add(path, "a", "b")
    with path.open("rb") as reader:
        file_at(path).replace([Row("c")])
        assert reader.read().count(b"\n") == 2
    with full_disk(5), pytest.raises(OSError, match="too large"):
        file_at(path).replace([Row("d")])
    assert names(path) == ["c"]
    assert list(path.parent.iterdir()) == [path]


# --- documents --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"name": 1}', b'{"name": "\xff"}', b'{"x":' + b"[" * 100_000, b" " * 1_001]
)
def test_a_document_of_another_form_or_too_large_is_an_error_that_names_the_cause(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the cause is checked below
        document.read(path, Row, 1_000)
    assert caught.value.strerror
    assert caught.value.filename == str(path)


# --- rows that a thread appends ---------------------------------------------------------------------------------


def rotated(path: Path, max_bytes: int = 1_000_000, older: int = 1, **how: Any) -> RotatedFile:
    return RotatedFile(path, "the.key", max_bytes, older, lambda _: None, **how)


def put(file: RotatedFile, name: str, size: int = 0) -> None:
    """Append a row, and wait until it is written."""
    assert file.put(Row(name, "x" * size))
    asyncio.run(eventually(lambda: not file._writer._size, "it is written"))


def rows(path: Path) -> list[str]:
    return [row.name for row in rotated_file.rows(path, Row)]


def remove(path: Path, *names: str) -> int:
    return rotated_file.remove(path, Row, lambda row: row.name in names)


def filled(path: Path, count: int, older: int) -> None:
    """Append rows of which one fits into a file."""
    file = rotated(path, 1_500, older)
    for number in range(count):
        put(file, str(number), 1_000)
    file.close()


def test_a_full_file_is_renamed_and_as_many_older_ones_are_kept_as_the_config_says(path: Path) -> None:
    filled(path, 5, older=2)
    assert rows(path) == ["2", "3", "4"]
    assert sorted(one.name for one in path.parent.iterdir()) == ["rows", "rows.1", "rows.2"]

    filled(path, 1, older=1)
    assert sorted(one.name for one in path.parent.iterdir()) == ["rows", "rows.1"], "fewer are wanted now"

    filled(path, 2, older=0)
    assert rows(path) == ["1"]


def test_a_file_is_renamed_between_two_rows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the disk takes a row in pieces."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[: len(data) // 2 + 1]))
    file = rotated(path, 3_000)
    for number in range(60):
        put(file, str(number), 100)
    file.close()
    found = rows(path)
    assert 10 < len(found) < 60
    assert found == [str(number) for number in range(60 - len(found), 60)], "the latest, and whole"
    assert max(one.stat().st_size for one in path.parent.iterdir()) <= 3_000


def test_a_file_that_others_have_renamed_or_removed_is_begun_anew(path: Path) -> None:
    """As logrotate does, without a signal."""
    file = rotated(path)
    put(file, "one")
    path.rename(path.with_suffix(".old"))
    put(file, "two")
    path.unlink()
    put(file, "three")
    file.close()
    assert (rows(path), rows(path.with_suffix(".old"))) == (["three"], ["one"])


def test_rows_are_removed_from_all_files_and_the_others_stay(path: Path) -> None:
    filled(path, 3, older=2)
    owner = (12_345, 54_321) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    for one in path.parent.iterdir():
        os.chown(one, *owner)
    assert remove(path, "0", "2", "9") == 2
    assert rows(path) == ["1"]
    assert {(one.stat().st_uid, one.stat().st_gid, mode(one)) for one in path.parent.iterdir()} == {(*owner, 0o600)}


def test_a_line_that_nobody_can_read_is_skipped_and_goes_with_the_first_row(path: Path) -> None:
    add(path, "a", "b")
    with path.open("ab") as file:
        file.write(b"{torn")
    assert rows(path) == ["a", "b"]
    assert remove(path) == 0
    assert path.read_bytes().endswith(b"{torn")
    assert remove(path, "a") == 1
    assert b"{torn" not in path.read_bytes()


def test_nobody_renames_or_replaces_the_files_while_somebody_does(path: Path) -> None:
    entered = threading.Event()

    def enter() -> None:
        with alone(path):
            entered.set()

    with alone(path):
        other = threading.Thread(target=enter)
        other.start()
        assert not entered.wait(0.2)
    assert entered.wait(10)
    other.join()


@pytest.mark.parametrize("at", ["nowhere/rows", "pipe", "folder"])
def test_a_file_that_cannot_be_written_keeps_the_service_from_starting(tmp_path: Path, at: str) -> None:
    """A pipe, too, whose reader could hold the service up."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CannotStart, match=f"the.key: .*{at} cannot be written"):
        rotated(tmp_path / at)


def test_a_folder_in_which_nothing_can_be_renamed_keeps_the_service_from_starting(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a full file is, though this one can be written. Root may everything, so the system's answer is set."""
    path.touch()
    monkeypatch.setattr(os, "access", lambda asked, _: asked != path.parent)
    with pytest.raises(CannotStart, match="its folder must be writable"):
        rotated(path)


def test_a_device_keeps_the_service_from_starting() -> None:
    with pytest.raises(CannotStart, match=r"/dev/null cannot be written"):
        rotated(Path("/dev/null"))


# --- all files --------------------------------------------------------------------------------------------------

WRITES: dict[str, Callable[[Path], object]] = {
    "appended": lambda path: add(path, "a"),
    "replaced": lambda path: file_at(path).replace([Row("a")]),
    "a document": lambda path: document.write(path, b"{}"),
    "rotated": lambda path: rotated(path).close(),
}


@pytest.fixture(params=WRITES)
def write(request: pytest.FixtureRequest) -> Callable[[Path], object]:
    return WRITES[request.param]


def test_only_the_owner_reads_a_file(path: Path, write: Callable[[Path], object]) -> None:
    """Whatever the umask."""
    before = os.umask(0)
    try:
        write(path)
    finally:
        os.umask(before)
    assert mode(path) == 0o600


def test_no_other_folder_is_needed_to_write_a_file(
    path: Path, write: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may be read-only, or on another disk, from which nothing is moved at once."""
    monkeypatch.setattr(tempfile, "tempdir", str(path.parent / "missing"))
    write(path)
    assert path.exists()


@pytest.mark.parametrize("made", ["appended", "replaced", "a document"])
def test_the_folders_on_the_way_to_a_file_are_made_also_if_the_way_leads_back(tmp_path: Path, made: str) -> None:
    path = tmp_path / "new" / ".." / "other" / "rows"
    WRITES[made](path)
    assert path.exists()


@pytest.mark.parametrize("made", ["appended", "rotated"])
def test_a_file_that_others_could_read_is_its_owners_alone_before_rows_are_added(path: Path, made: str) -> None:
    path.touch(0o644)
    WRITES[made](path)
    assert mode(path) == 0o600


@pytest.mark.parametrize("made", ["appended", "rotated"])
def test_no_file_stays_open(path: Path, monkeypatch: pytest.MonkeyPatch, made: str) -> None:
    """Nor one that cannot be made its owner's alone."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "not permitted")

    WRITES[made](path)
    monkeypatch.setattr(os, "fchmod", refuse)
    with pytest.raises((OSError, CannotStart), match="not permitted"):
        WRITES[made](path)
    assert path not in [file.resolve() for file in Path("/proc/self/fd").iterdir()]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("made", ["appended", "replaced", "a document"])
def test_what_root_writes_belongs_to_the_owner_of_the_state_directory(tmp_path: Path, made: str) -> None:
    """Else the service could not read it."""
    os.chown(tmp_path, 12_345, 54_321)
    path = tmp_path / "new" / "rows"
    WRITES[made](path)
    assert {(one.stat().st_uid, one.stat().st_gid) for one in (path.parent, path)} == {(12_345, 54_321)}


def test_a_file_that_cannot_be_given_to_its_owner_stays_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the service could not read its keys at the next start."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "not permitted")

    path.write_bytes(b"before")
    monkeypatch.setattr(os, "fchown", refuse)
    with pytest.raises(PermissionError):
        files.write(path, b"after", replace=True, owner=(1, 1))
    assert path.read_bytes() == b"before"


def test_nothing_is_given_away_that_belongs_to_the_owner_of_the_folder(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where root may give no files away, that is no error."""
    monkeypatch.delattr(os, "chown")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    path.write_bytes(b"")
    files.hand_over(path)


@pytest.mark.parametrize(
    "use", [lambda path: file_at(path).read(), lambda path: add(path, "a"), lambda path: document.read(path, Row, 9)]
)
def test_a_pipe_holds_nobody_up(path: Path, use: Callable[[Path], object]) -> None:
    os.mkfifo(path)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the cause is checked below
        use(path)
    assert caught.value.errno in (errno.EINVAL, errno.ENXIO)
