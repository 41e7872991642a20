"""Run the stand-in for vLLM of `serve --demo` as a child process, `python -m pointsman.cli.demo`.

It reads from stdin what to serve, and ends at end of file, so it never outlives its parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from typing import cast
from urllib.parse import urlsplit

import msgspec

from pointsman.config.model import Config, Endpoint
from pointsman.errors import CannotStart
from pointsman.observability.log import Log

READY = b"ready\n"
START_SECONDS = 30.0
STOP_SECONDS = 5.0
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class StandInConfig(msgspec.Struct):
    """The config of a stand-in: its addresses, and the adapters of each base model."""

    addresses: list[tuple[str, int]]
    models: dict[str, list[str]]


@contextlib.asynccontextmanager
async def running(config: Config, log: Log) -> AsyncIterator[None]:
    """Run a stand-in at every endpoint of the config; raises CannotStart."""
    process = await _start(stand_in_config(config))
    log.write("warning", "stand_in", message="no vLLM: a stand-in answers with the name of the requested model")
    watch = asyncio.create_task(_watch(process, log))
    try:
        yield
    finally:
        watch.cancel()
        await _stop(process)


def stand_in_config(config: Config) -> StandInConfig:
    """Return what the stand-in of this config serves; raises CannotStart if an endpoint is no loopback address."""
    return StandInConfig(
        addresses=list(dict.fromkeys(map(_address, config.vllm_endpoints))),
        models={base: [lora.name for lora in model.loras] for base, model in config.model_config.items()},
    )


def _address(endpoint: Endpoint) -> tuple[str, int]:
    url = urlsplit(endpoint.base_url)
    if endpoint.socket_path is not None or url.scheme != "http" or url.path or url.hostname not in _LOOPBACK:
        raise CannotStart(
            f"--demo needs endpoints such as http://127.0.0.1:8000, but {endpoint.name} is {endpoint.address}; "
            "start without --demo, or add --vllm 127.0.0.1:8000"
        )
    return url.hostname, url.port or 80


async def _start(served: StandInConfig) -> Process:
    """Start a stand-in and wait until it listens; raises CannotStart."""
    # Ctrl-C must not reach it while responses drain, hence the session. -P: import nothing from the working directory.
    command = (sys.executable, "-P", "-m", "pointsman.cli.demo")
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, start_new_session=True)
    line = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(START_SECONDS):
            _input(process).write(msgspec.json.encode(served) + b"\n")
            line = await cast("asyncio.StreamReader", process.stdout).readline()
    if line == READY:
        return process
    await _stop(process)
    why = line.decode(errors="replace").strip() or "did not start"
    raise CannotStart(f"the stand-in for vLLM {why}; if a vLLM runs there, start without --demo")


async def _watch(process: Process, log: Log) -> None:
    status = await process.wait()
    log.write("error", "stand_in", message=f"the stand-in for vLLM ended with status {status}; restart the service")


def _input(process: Process) -> asyncio.StreamWriter:
    return cast("asyncio.StreamWriter", process.stdin)


async def _stop(process: Process) -> None:
    _input(process).close()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
