"""A service that crashes leaves no core file, which would have prompts and keys."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from support import needs
from support.process import PATIENCE_SECONDS, eventually, no_survivors, reserve_port
from support.quick_config import quick_config

UNLIMITED = ("bash", "-c", 'ulimit -c unlimited; exec "$@"', "bash", sys.executable)
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def dumped(process: subprocess.Popen[bytes]) -> tuple[int, bool]:
    """The signal that ended a process, and whether the kernel wrote its memory anywhere: to a file or to a program."""
    _, status = os.waitpid(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return -process.returncode, os.WCOREDUMP(status)


def serves(port: int) -> bool:
    try:
        with DIRECT.open(f"http://127.0.0.1:{port}/health", timeout=PATIENCE_SECONDS):
            return True
    except (urllib.error.URLError, TimeoutError):
        return False


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
def test_a_crash_leaves_no_core_file(number: signal.Signals, tmp_path: Path) -> None:
    control = subprocess.Popen([*UNLIMITED, "-c", "import os; os.abort()"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    if dumped(control) != (signal.SIGABRT, True):
        needs.lacking("core files are forbidden here: `ulimit -Hc` is not `unlimited`, or the folder takes none")
    for file in tmp_path.iterdir():
        file.unlink()
    port, admin = reserve_port(), reserve_port()
    server = {"listen": [f"127.0.0.1:{port}"], "admin_listen": f"127.0.0.1:{admin}"}
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(quick_config(reserve_port()) | {"pointsman": {"server": server}}))

    with (tmp_path / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [*UNLIMITED, "-m", "pointsman", "serve", "--config", str(config)],
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    with no_survivors(daemon.pid):
        asyncio.run(eventually(lambda: serves(port), "it serves"))
        os.kill(daemon.pid, number)
        ended = dumped(daemon)

    assert ended == (number, False)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.yaml", "log"]
