"""Tests that run at the same time do not take each other's ports."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROCESSES, EACH = 3, 100
RESERVE = f"from support.process import reserve_port; print(*(reserve_port() for _ in range({EACH})))"


@pytest.mark.heavy
def test_a_reserved_port_is_given_to_no_other_process_and_can_be_listened_on() -> None:
    command, env = [sys.executable, "-c", RESERVE], os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    running = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    reserved = [int(port) for process in running for port in process.communicate()[0].split()]

    assert len(set(reserved)) == len(reserved) == PROCESSES * EACH
    for port in reserved:
        with socket.create_server(("127.0.0.1", port)):
            pass
