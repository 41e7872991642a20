"""What systemd says in the environment is understood, and what it is told arrives: sd_notify(3), sd_listen_fds(3)."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pointsman.app.serve import _notify_systemd
from pointsman.app.systemd import Notifier, take
from support.process import eventually
from support.toy_config import config


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, str]]:
    """A socket that listens as systemd does, and its address in `NOTIFY_SOCKET`'s spelling."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/notify"
        channel.bind(path if request.param == "path" else f"\0{path}")
        channel.settimeout(5)
        yield channel, path if request.param == "path" else f"@{path}"


def test_readiness_and_status_arrive_in_one_message(manager: tuple[socket.socket, str]) -> None:
    channel, address = manager

    Notifier(address).ready("2 endpoints")

    assert channel.recv(4096) == b"READY=1\nSTATUS=2 endpoints"


def test_a_reload_tells_the_clock_of_its_beginning(manager: tuple[socket.socket, str]) -> None:
    channel, address = manager
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000

    Notifier(address).reloading()

    first, _, second = channel.recv(4096).decode().partition("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_manager_that_does_not_read_holds_nothing_up(manager: tuple[socket.socket, str]) -> None:
    channel, address = manager
    notifier = Notifier(address)

    for number in range(10_000):  # far beyond what the socket buffers
        notifier.status(f"{number}")

    assert channel.recv(4096) == b"STATUS=0"


@pytest.mark.parametrize("address", [None, "", "/nowhere/notify"])
def test_without_a_manager_nothing_is_sent_and_nothing_fails(address: str | None) -> None:
    Notifier(address).alive()


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "15000000"}, 15.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "15000000", "WATCHDOG_PID": "1"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_by_the_process_that_it_watches(environment: dict[str, str], seconds: float | None) -> None:
    assert take(environment).watchdog_s == seconds


async def test_the_watchdog_is_not_fed_while_the_classifier_hangs() -> None:
    """A process that serves nothing but fallbacks is to be replaced."""
    turns: list[str] = []
    encoder = SimpleNamespace(healthy=False)
    polled = SimpleNamespace(answered=asyncio.Event())
    generations: Any = SimpleNamespace(
        current=SimpleNamespace(config=config(), classifier=SimpleNamespace(encoder=encoder), poller=polled)
    )
    polled.answered.set()
    reloader: Any = SimpleNamespace(status=lambda: turns.append("status"))
    notify = SimpleNamespace(alive=lambda: turns.append("alive"), status=lambda _: None, ready=lambda _: None)
    systemd: Any = SimpleNamespace(watchdog_s=0.003, notify=notify)
    task = asyncio.create_task(_notify_systemd(generations, reloader, systemd))
    await eventually(lambda: len(turns) >= 5, "it has looked five times")
    assert set(turns) == {"status"}
    encoder.healthy = True
    await eventually(lambda: "alive" in turns, "it is fed")
    task.cancel()


def test_what_was_taken_is_not_handed_on() -> None:
    environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "LISTEN_PID": "1", "LISTEN_FDS": "1", "PATH": "/bin"}

    take(environment)

    assert environment == {"PATH": "/bin"}


def test_sockets_of_another_process_are_left_alone() -> None:
    assert take({"LISTEN_PID": "1", "LISTEN_FDS": "2"}).listeners == ()


@pytest.mark.heavy
def test_inherited_sockets_come_with_the_names_of_their_units(tmp_path: Path) -> None:
    """File descriptors from 3 on, as a manager passes them."""
    program = tmp_path / "service.py"
    program.write_text(
        "import os\n"
        "from pointsman.app.systemd import take\n"
        "os.environ['LISTEN_PID'] = str(os.getpid())\n"
        "print(*(f'{name} {listener.getsockname()[1]}' for name, listener in take(os.environ).listeners), sep='\\n')\n"
    )
    shell = f"exec 3<&$1 4<&$2; exec {sys.executable} {program}"
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        numbers = (first.fileno(), second.fileno())
        done = subprocess.run(
            ["bash", "-c", shell, "bash", *map(str, numbers)],
            env=os.environ | {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "data:admin"},
            pass_fds=numbers,
            check=True,
            capture_output=True,
            text=True,
        )
        ports = [listener.getsockname()[1] for listener in (first, second)]

    assert done.stdout.splitlines() == [f"data {ports[0]}", f"admin {ports[1]}"]


@pytest.mark.parametrize("same", [True, False])
def test_stderr_is_the_journal_where_systemd_named_that_very_stream(
    monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    """A shell in between may have redirected it."""
    found = os.fstat(2)
    stream = f"{found.st_dev}:{found.st_ino + (not same)}"
    assert take({"JOURNAL_STREAM": stream}).journal is same


def test_without_a_stream_of_the_journal_stderr_is_none() -> None:
    assert take({}).journal is False
