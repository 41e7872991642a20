"""A fault that no code expects, at a data port of real parts: what the client gets, and what the log and metrics do."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pointsman.api.data import routes
from pointsman.app.generations import Generations
from pointsman.app.prepare import PreparedConfig
from pointsman.classify.classifier import Classifier
from pointsman.config.model import LogOptions
from pointsman.observability.log import Log
from pointsman.server.listener import Listener
from support.log import Memory
from support.process import eventually, reserve_port
from support.raw_client import ask, chat
from support.toy_config import QUIET, A, config

ROUTE = "/v1/route"


@dataclass(frozen=True, slots=True)
class Port:
    """A data port in this process."""

    url: str
    generations: Generations
    log: Memory

    def logged(self, event: str) -> Any:
        self.generations.log.flush()
        (line,) = [line for line in map(json.loads, self.log.getvalue().splitlines()) if line["event"] == event]
        return line


@contextlib.asynccontextmanager
async def port(classifier: Classifier, log: LogOptions) -> AsyncIterator[Port]:
    nobody = replace(A, port=reserve_port())  # a vLLM may run at 8000
    served = replace(config(endpoints=(nobody,)), pointsman=replace(QUIET, log=log))
    written = Memory()
    generations = Generations(PreparedConfig(served, classifier, b"", ()), Log("info", written))
    server = Listener(
        routes(generations.exchange, lambda: None, generations.current.recorder.not_routed),
        lambda: generations.current.limits,
        lambda _: None,
        lambda _: None,
        generations.budget,
    )
    address = f"127.0.0.1:{reserve_port()}"
    await server.listen(address)
    try:
        yield Port(f"http://{address}", generations, written)
    finally:
        await server.drain(0.0, asyncio.Event())
        await generations.close()


async def test_a_fault_of_ours_is_a_500_that_only_the_log_explains(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("of our own")

    monkeypatch.setattr(classifier, "classify", broken)
    async with port(classifier, LogOptions()) as at:
        got = await ask(at.url, chat(model="auto"), "X-Request-Id: ours", path=ROUTE)

        assert (got.status, got.code) == (500, "internal_error")
        assert b"of our own" not in got.body
        line = at.logged("internal_error")
        assert line["request_id"] == "ours"
        assert "ZeroDivisionError: of our own" in line["traceback"]
        assert at.generations.metrics.in_flight == 0


async def test_a_text_that_cannot_be_written_costs_a_warning_and_no_request(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with port(classifier, LogOptions(texts_file=str(tmp_path / "texts"))) as at:
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            got = await ask(at.url, chat("secret", model="auto"))
            await eventually(lambda: "texts_file" in at.log.getvalue(), "the thread that writes tells of it")

        assert (got.status, got.code) == (502, "upstream_unreachable")  # no vLLM is there: the request came so far
        assert at.logged("texts_file")["level"] == "warning"
        assert "secret" not in at.log.getvalue()
