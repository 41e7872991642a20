"""The service as systemd sees it: told when it is ready and alive, and restarted on a socket that stays open."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import run_daemon
from support.fake_vllm import FakeVllm
from support.process import eventually
from support.quick_config import quick_config
from support.restart import WHOLE, restart_under_load
from support.two_sides import reload

pytestmark = pytest.mark.asyncio(loop_scope="session")
CLIENTS = 8


class Manager:
    """The socket that systemd would listen at, and what it was told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(path))
        self._notifications: list[str] = []

    def notifications(self) -> list[str]:
        """All lines so far."""
        while True:
            try:
                self._notifications += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self._notifications

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


async def test_systemd_hears_that_the_service_is_ready_how_it_goes_and_that_it_stops(
    manager: Manager, fake_vllm: FakeVllm, tmp_path: Path
) -> None:
    async with run_daemon(quick_config(fake_vllm.port), tmp_path, env={"NOTIFY_SOCKET": str(manager.path)}):
        await eventually(lambda: "READY=1" in manager.notifications(), "READY")
        assert "STATUS=1 of 1 vLLM up; 3 adapters; 0 in flight" in manager.notifications()
        assert "STOPPING=1" not in manager.notifications()
        assert "WATCHDOG=1" not in manager.notifications()[: manager.notifications().index("READY=1")]

    assert "STOPPING=1" in manager.notifications()


async def test_it_is_ready_without_a_vllm_after_a_while_and_says_so(manager: Manager, tmp_path: Path) -> None:
    """vLLM may load its model for minutes, and its clients are to hear that from us."""
    config = quick_config(9)  # the port of `discard`, where nobody listens
    async with run_daemon(config, tmp_path, env={"NOTIFY_SOCKET": str(manager.path)}):
        await eventually(lambda: "READY=1" in manager.notifications(), "READY")

        assert "STATUS=0 of 1 vLLM up; 0 adapters; 0 in flight" in manager.notifications()


async def test_the_watchdog_is_fed_more_often_than_it_bites(
    manager: Manager, fake_vllm: FakeVllm, tmp_path: Path
) -> None:
    env = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "300000"}
    async with run_daemon(quick_config(fake_vllm.port), tmp_path, env=env):
        await eventually(lambda: manager.notifications().count("WATCHDOG=1") >= 5, "five signs of life")


async def test_a_restart_under_load_refuses_nobody(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    """On an inherited socket: who comes between two processes waits for the second, and a running stream ends whole."""
    config = quick_config(fake_vllm.port)

    restart = await restart_under_load(config, fake_vllm, tmp_path, CLIENTS, 10)

    assert restart.staying == (200, WHOLE)
    assert set(restart.answers) == {(200, WHOLE)}


async def test_systemd_is_told_when_a_reload_begins_and_ends(
    manager: Manager, fake_vllm: FakeVllm, tmp_path: Path
) -> None:
    """The protocol of `Type=notify-reload`: without the time systemd would wait until its patience ends."""
    async with run_daemon(quick_config(fake_vllm.port), tmp_path, env={"NOTIFY_SOCKET": str(manager.path)}) as daemon:
        await eventually(lambda: "READY=1" in manager.notifications(), "READY")
        for number, trigger in enumerate((signal.SIGHUP, None), start=2):
            asked = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            if trigger is None:
                await reload(daemon)
            else:
                daemon.process.send_signal(trigger)

            def ready_again(times: int = number) -> bool:
                return manager.notifications().count("READY=1") == times

            await eventually(ready_again, "READY again")
            notifications = manager.notifications()
            begun = len(notifications) - notifications[::-1].index("RELOADING=1") - 1
            name, _, microseconds = notifications[begun + 1].partition("=")
            assert name == "MONOTONIC_USEC"
            assert asked < int(microseconds) < time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            assert "READY=1" in notifications[begun:]
