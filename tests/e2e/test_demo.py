"""`pointsman serve --demo`: the stand-in for vLLM is a process of its own, and never outlives the service."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
import yaml

from pointsman.app.stand_in import stand_in_config
from pointsman.config.model import Endpoint
from pointsman.errors import CannotStart
from support import needs
from support.daemon import Daemon, run_daemon
from support.process import eventually, reserve_port
from support.quick_config import quick_config
from support.service import CHAT, MEDICAL, chat, shipped_config
from support.toy_config import config


@pytest.mark.parametrize("streaming", [True, False])
async def test_the_demo_shows_the_whole_path_and_says_what_it_is(tmp_path: Path, streaming: bool) -> None:
    config = shipped_config(reserve_port())
    async with (
        run_daemon(config, tmp_path, args=["--demo"]) as daemon,
        aiohttp.ClientSession() as http,
        http.post(daemon.base_url + CHAT, json=chat(MEDICAL, stream=streaming)) as response,
    ):
        text = await response.text()
        assert response.headers["x-vsr-selected-model"] == "medical-lora"
        line = await daemon.logged("ready")
        assert line["message"] == f"clients: {daemon.base_url}/v1; the page: {daemon.admin_url}/"

    assert "stand-in" in text
    assert "medical-lora" in text


async def test_adapters_can_be_loaded_into_the_stand_in_and_unloaded(tmp_path: Path) -> None:
    config = quick_config(reserve_port())
    config["model_config"]["llama2-7b"]["loras"].append({"name": "new-lora", "path": "/anywhere"})
    async with (
        run_daemon(config, tmp_path, args=["--demo"]) as daemon,
        aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as http,
    ):

        async def served() -> bool:
            async with http.get(daemon.base_url + "/v1/models") as response:
                return "new-lora" in await response.text()

        for verb, after in (("unload", False), ("load", True), ("unload", False)):
            async with http.post(f"{daemon.admin_url}/adapters/{verb}", data='{"name": "new-lora"}') as response:
                assert response.status == 200, await response.text()
            assert await served() is after


def test_the_demo_does_not_hide_a_vllm_that_is_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as vllm:
        port = vllm.getsockname()[1]
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(quick_config(port)))
        command = [sys.executable, "-m", "pointsman", "serve", "--demo", "--config", str(tmp_path / "config.yaml")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    last = done.stderr.splitlines()[-1]
    assert done.returncode == 3
    assert last.startswith(f"pointsman: the stand-in for vLLM cannot listen at 127.0.0.1:{port} (")
    assert last.endswith("if a vLLM runs there, start without --demo")


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def children(daemon: Daemon) -> list[int]:
    """The processes that the daemon started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if int(path.read_text().rpartition(")")[2].split()[1]) == daemon.process.pid:
                found.append(int(path.parent.name))
    return found


def maps(daemon: Daemon) -> str:
    """The files that are mapped into its memory."""
    return (needs.inside(daemon.process.pid) / "maps").read_text()


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -signal.SIGKILL)]
)
async def test_the_stand_in_ends_with_the_service(number: int, exit_code: int, tmp_path: Path) -> None:
    """However that ends. Ctrl-C goes to its whole process group, as a terminal sends it."""
    port = reserve_port()
    async with run_daemon(quick_config(port), tmp_path, args=["--demo"], exit_code=exit_code) as daemon:
        assert listens(port)
        os.killpg(daemon.process.pid, number)
        await daemon.process.wait()
        await eventually(lambda: not listens(port), "the stand-in is gone")


async def test_a_stand_in_that_dies_is_told_and_the_service_goes_on(tmp_path: Path) -> None:
    async with (
        run_daemon(quick_config(reserve_port()), tmp_path, args=["--demo"]) as daemon,
        aiohttp.ClientSession() as http,
    ):
        (child,) = children(daemon)
        os.kill(child, signal.SIGKILL)
        line = await daemon.logged("stand_in", level="error")
        async with http.post(daemon.base_url + CHAT, json=chat()) as response:
            assert response.status == 502
    assert "ended with status -9" in line["message"]


@pytest.mark.parametrize("demo", [True, False])
async def test_aiohttp_is_loaded_for_the_stand_in_alone(demo: bool, tmp_path: Path) -> None:
    config, args = quick_config(reserve_port()), ["--demo"] if demo else []
    async with run_daemon(config, tmp_path, args=args, env={"PYTHONPROFILEIMPORTTIME": "1"}) as daemon:
        mapped = maps(daemon)
        lines = daemon.log_text().splitlines()

    imported = "\n".join(line for line in lines if line.startswith("import time:"))
    assert "pointsman.server" in imported
    assert ("aiohttp" in imported) is demo
    assert "aiohttp" not in mapped


@pytest.mark.parametrize(
    "address",
    ["10.0.0.5", "vllm.example", "https://localhost:8000", "http://localhost:8000/prefix", "unix:/run/vllm.sock"],
)
def test_the_demo_stands_in_for_plain_http_on_the_loopback_alone(address: str) -> None:
    port = None if ":" in address else 8000
    with pytest.raises(CannotStart, match=r"--demo needs endpoints such as http://127\.0\.0\.1:8000"):
        stand_in_config(config(endpoints=[Endpoint(name="a", address=address, port=port)]))


@pytest.mark.parametrize("given", [b"", b"nonsense\n"], ids=["nothing", "no config"])
def test_a_stand_in_that_is_told_nothing_ends_at_once(given: bytes) -> None:
    command = [sys.executable, "-m", "pointsman.cli.demo"]
    done = subprocess.run(command, input=given, capture_output=True, timeout=30, check=False)

    assert (done.returncode, done.stdout) == (1, b"")
