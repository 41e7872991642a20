"""What end-to-end tests share: a real vLLM, and a daemon in front of an upstream that misbehaves on demand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
import pytest_asyncio

from support import daemon, needs, vllm_server
from support.adapter_world import NEVER, TECHNICAL_PATH, run_world
from support.browser import run_browser
from support.daemon import run_daemon
from support.fake_vllm import run_fake_vllm
from support.service import Service, shipped_config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from support.adapter_world import World
    from support.browser import Browser
    from support.daemon import Daemon
    from support.fake_vllm import FakeVllm
    from support.page import PagePort
    from support.vllm_server import VllmServer

DEADLINE_MS = 10_000


@pytest.fixture(scope="module", autouse=True)
def time_enough() -> Iterator[None]:
    """What is decided does not depend on how busy the host is, but where a test says so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(daemon, "DEADLINE_MS", DEADLINE_MS)
        yield


@pytest.fixture(scope="session")
def vllm_venv() -> Path:
    """Where vLLM is installed."""
    venv = Path(os.environ.get("VLLM_VENV", vllm_server.DEFAULT_VENV))
    if not vllm_server.is_installed(venv):
        needs.lacking(f"no vLLM in {venv}: install it with `{vllm_server.INSTALLER} {venv}`, or set VLLM_VENV")
    return venv


@pytest.fixture(scope="session")
def tiny_model(vllm_venv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the tiny Llama and its adapters."""
    folder = tmp_path_factory.mktemp("tiny-llama")
    vllm_server.build_model(vllm_venv, folder)
    return folder


@pytest.fixture(scope="session")
def vllm(vllm_venv: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """A vLLM with the base model `llama2-7b` and three adapters."""
    with vllm_server.run_vllm(vllm_venv, tiny_model, tmp_path_factory.mktemp("vllm") / "vllm.log") as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_vllm() -> AsyncIterator[FakeVllm]:
    """The upstream of all daemons that need no other."""
    async with run_fake_vllm() as fake:
        yield fake


@pytest.fixture
def fake_vllm(shared_vllm: FakeVllm) -> FakeVllm:
    """`shared_vllm`, which has forgotten the tests before."""
    shared_vllm.reset()
    return shared_vllm


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_daemon(shared_vllm: FakeVllm, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Daemon]:
    """One daemon with the shipped config for all tests that need nothing else."""
    config = shipped_config(shared_vllm.port)
    config["pointsman"] = {"adapters": {"poll_interval_ms": 200}, "classifier": {"deadline_ms": DEADLINE_MS}}
    async with run_daemon(config, tmp_path_factory.mktemp("daemon")) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def service(shared_daemon: Daemon, fake_vllm: FakeVllm) -> AsyncIterator[Service]:
    """A daemon in front of `fake_vllm`."""
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        yield Service(shared_daemon, fake_vllm, http)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A daemon that asks its only vLLM what it serves only where there is a reason to."""
    never = {"poll_interval_ms": NEVER}
    async with run_world(tmp_path_factory.mktemp("quiet"), adapters=never, paths=TECHNICAL_PATH) as world:
        yield world


@pytest_asyncio.fixture(loop_scope="module")
async def quiet(shared_world: World) -> World:
    """It serves all adapters, and no failure of the test before is remembered."""
    shared_world.vllm.reset()
    await shared_world.change("load", {"name": "technical-lora"})
    shared_world.vllm.paths.clear()
    return shared_world


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """A browser as wide as a desk's screen."""
    async with run_browser(tmp_path_factory.mktemp("browser")) as found:
        await found.show(1280)
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def port() -> AsyncIterator[PagePort]:
    """The port of the page, about requests that the test makes up."""
    from support.page import run_page

    async with run_page() as found:
        yield found
