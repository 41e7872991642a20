"""A file that is no config, artifact or data: each command says so in one line, at once, and nothing hangs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from pointsman import files
from pointsman.classify.artifact import MANIFEST
from pointsman.cli.main import main
from support.config_files import MINIMAL, write_manifest

LIMIT_SECONDS = 20
ENORMOUS = 257 * 2**20
"""More than any file may have whose size is bounded."""


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """A command that waits for a pipe's writer would wait for ever."""

    def fail(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"it hangs for {LIMIT_SECONDS} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(LIMIT_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(ENORMOUS)


def binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 16)


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


BAD: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "a folder": Path.mkdir,
    "a broken link": lambda path: path.symlink_to("nowhere"),
    "empty": Path.touch,
    "binary": binary,
    "enormous": sparse,
    "a pipe": os.mkfifo,
    "a device": zeros,
    "a socket": unix_socket,
}
COMMANDS: dict[str, tuple[int, Callable[[Path, Path], list[object]]]] = {
    "check": (1, lambda bad, _: ["check", bad]),
    "explain": (3, lambda bad, _: ["explain", "hello", "--config", bad]),
    "explain --request": (1, lambda bad, _: ["explain", "--request", bad]),
    "adapters": (3, lambda bad, _: ["adapters", "--config", bad]),
    "status": (3, lambda bad, _: ["status", "--config", bad]),
    "serve": (3, lambda bad, _: ["serve", "--config", bad]),
    "init": (1, lambda bad, folder: ["init", "--vllm", "127.0.0.1:1", "-o", folder / "new", "--api-key-file", bad]),
    "init --add": (3, lambda bad, _: ["init", "--add", "-o", bad]),
    "eval": (1, lambda bad, folder: ["eval", folder / "toy", bad]),
    "eval --config": (3, lambda bad, folder: ["eval", folder / "toy", folder / "rows", "--config", bad]),
    "eval --replay": (
        1,
        lambda bad, folder: ["eval", "--replay", bad, folder / "toy", "--threshold", "0.5", "--texts", bad],
    ),
    "eval ARTIFACT": (3, lambda bad, folder: ["eval", artifact(folder, bad), folder / "rows"]),
    "fit": (1, lambda bad, folder: ["fit", "--data", bad, "-o", folder / "new"]),
    "fit --base": (
        1,
        lambda bad, folder: ["fit", "--data", folder / "rows", "--base", artifact(folder, bad), "-o", folder / "new"],
    ),
}


def artifact(folder: Path, bad: Path) -> Path:
    """A folder whose manifest is the bad file."""
    (folder / "artifact").mkdir()
    (folder / "artifact" / MANIFEST).symlink_to(bad)
    return folder / "artifact"


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_bad_file_is_named_at_once_and_nothing_is_written(
    command: str, kind: str, tmp_path: Path, toy_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "toy").symlink_to(toy_folder)
    bad = tmp_path / "bad"
    BAD[kind](bad)
    rows = [f'{{"text": "{label} {number}", "label": "{label}"}}' for label in ("law", "math") for number in range(5)]
    (tmp_path / "rows").write_text("\n".join(rows))
    code, arguments = COMMANDS[command]
    given = [str(argument) for argument in arguments(bad, tmp_path)]
    before = sorted(tmp_path.rglob("*"))
    started = time.process_time()

    assert main(given) == code
    out, err = capfd.readouterr()
    named = [line for line in (out + err).splitlines() if str(bad) in line or "artifact" in line]
    assert len(named) == 1, out + err
    assert "Traceback" not in out + err
    assert sorted(tmp_path.rglob("*")) == before
    assert time.process_time() - started < 5.0


@pytest.mark.heavy
def test_a_command_in_a_process_of_its_own_ends_with_the_documented_status(tmp_path: Path) -> None:
    """`serve`, as its supervisor sees it."""
    os.mkfifo(tmp_path / "pipe")
    command = [sys.executable, "-m", "pointsman", "serve", "--config", str(tmp_path / "pipe")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"{tmp_path}/pipe: cannot be read (it is a pipe or a device, not a file); check path and permissions\n"
    )


@pytest.mark.parametrize("kind", ["enormous", "a pipe", "a device", "a folder", "binary"])
def test_a_bad_file_of_labels_is_named(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_manifest(tmp_path / "artifact")
    bad = tmp_path / "labels.json"
    BAD[kind](bad)
    model = "classifier: {category_model: {model_id: artifact, category_mapping_path: labels.json}}\n"
    (tmp_path / "config.yaml").write_text(MINIMAL + model)

    assert main(["check", str(tmp_path / "config.yaml")]) == 1
    assert str(bad) in capsys.readouterr().out.splitlines()[0]


def test_labels_that_are_nested_without_end_are_no_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_manifest(tmp_path / "artifact")
    (tmp_path / "labels.json").write_text("[" * 100_000)
    model = "classifier: {category_model: {model_id: artifact, category_mapping_path: labels.json}}\n"
    (tmp_path / "config.yaml").write_text(MINIMAL + model)

    assert main(["check", str(tmp_path / "config.yaml")]) == 1
    assert "is not of the form" in capsys.readouterr().out


# --- files.py ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "refused"), [(0, False), (9, False), (10, False), (11, True)])
def test_a_file_is_read_up_to_its_bound(size: int, refused: bool, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    if refused:
        with pytest.raises(OSError, match="larger than 10 bytes"):
            files.read(path, 10)
    else:
        assert files.read(path, 10) == b"x" * size


def test_a_file_whose_size_is_not_told_is_bounded_too() -> None:
    """Those of /proc have the size 0."""
    with pytest.raises(OSError, match="larger than 10 bytes"):
        files.read(Path("/proc/self/status"), 10)


def test_a_file_that_this_user_may_not_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(MINIMAL)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)
    try:
        assert main(["check", str(path)]) == 1
    finally:
        os.seteuid(user)
    assert "cannot be read (Permission denied)" in capsys.readouterr().out


@pytest.mark.parametrize("replace", [False, True])
def test_what_cannot_be_written_whole_is_not_written(
    replace: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("mine")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write(path, b"new", replace=replace)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("file", "mine")]
