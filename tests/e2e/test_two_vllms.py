"""Two real vLLM servers behind one daemon: one is killed and started again while clients ask."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.daemon import Daemon, run_daemon
from support.metrics import until
from support.process import PATIENCE_SECONDS, eventually, kill_group, reserve_port
from support.raw_client import Cut, RawClient, ask, connect, post
from support.service import MEDICAL, TECHNICAL, chat, shipped_config
from support.vllm_server import VllmServer, run_vllm

pytestmark = [pytest.mark.vllm, pytest.mark.long, pytest.mark.asyncio]

BASE = "llama2-7b"
CLIENTS = 3
PAUSE_SECONDS = 0.1  # between the requests of a client, and between two looks: vLLM needs the cores
LOOKS = 10  # that see no change, until nothing more can come
SHORT, LONG = 16, 1000  # tokens; the long ones take seconds
WITHIN_SECONDS = 60.0  # for a short answer, and for each chunk of a stream: a long one may take longer on a busy host


@dataclass
class Mortal:
    """A vLLM to kill and to start again at the same port."""

    venv: Path
    model: Path
    folder: Path
    pool: ThreadPoolExecutor  # starts it; a start that nobody waits for any more ends before `stack` is closed
    stack: contextlib.ExitStack
    port: int = field(default_factory=reserve_port)
    lives: list[VllmServer] = field(default_factory=list)

    def start(self) -> None:
        log = self.folder / f"mortal-{len(self.lives)}.log"
        self.lives.append(self.stack.enter_context(run_vllm(self.venv, self.model, log, port=self.port)))

    def send(self, number: signal.Signals) -> None:
        """To all of its processes."""
        os.killpg(self.lives[-1].process.pid, number)

    def kill(self) -> None:
        """All of its processes at once; returns when its sockets are closed."""
        process = self.lives[-1].process
        kill_group(process.pid)
        process.wait()


@pytest.fixture(scope="module")
def servers(
    request: pytest.FixtureRequest, vllm_venv: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[VllmServer, Mortal]]:
    """The one that all tests share, which lives on, and one to kill; where neither runs yet they start at once."""
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        mortal = Mortal(vllm_venv, tiny_model, tmp_path_factory.mktemp("mortal"), pool, stack)
        started = pool.submit(mortal.start)
        spared = request.getfixturevalue("vllm")
        started.result()
        yield spared, mortal


@dataclass
class Load:
    """Clients, and what each of them saw of its answers."""

    daemon: Daemon
    outcomes: dict[str, str] = field(default_factory=dict)  # by request id, once it has ended
    sent: list[str] = field(default_factory=list)
    streaming: Counter[str] = field(default_factory=Counter)  # how many chunks have come of those that go on
    killed: bool = False
    stop: bool = False
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    async def ask(self, *, stream: bool, tokens: int = SHORT) -> None:
        number = next(self._numbers)
        request_id = f"of-two-{number}"
        text = f"{MEDICAL if number % 3 else TECHNICAL} ({number % 7})"
        body = chat(text, temperature=0, max_tokens=tokens, ignore_eos=True, stream=stream)
        async with asyncio.timeout(WITHIN_SECONDS) as silence, connect(self.daemon.base_url) as client:
            self.sent.append(request_id)
            client.send(post(body, f"X-Request-Id: {request_id}"))
            if stream:
                self.outcomes[request_id] = await self._stream(request_id, client, silence)
            else:
                got = await client.answer(timeout_s=WITHIN_SECONDS)
                self.outcomes[request_id] = "whole" if got.status == 200 else _error(got.body, got.status)

    async def _stream(self, request_id: str, client: RawClient, silence: asyncio.Timeout) -> str:
        status, headers = await client.head()
        if status != 200:
            (length,) = [value for name, value in headers if name.lower() == "content-length"]
            return _error(await client.reader.readexactly(int(length)), status)
        body = bytearray()
        try:
            async for data in client.chunks():
                body += data
                self.streaming[request_id] += 1
                silence.reschedule(asyncio.get_running_loop().time() + WITHIN_SECONDS)
        except Cut:
            pass
        finally:
            del self.streaming[request_id]
        *_, last, end = bytes(body).split(b"\n\n")
        assert end == b"", f"{request_id} ended inside an event: {bytes(body[-300:])!r}"
        errors = re.findall(rb'^data: (\{"error".*)$', body, re.MULTILINE)
        if not errors:
            assert last == b"data: [DONE]", f"{request_id} ended silently: {bytes(body[-300:])!r}"
            return "whole"
        _error(errors[-1], status)
        return "error event"

    async def one_after_another(self) -> None:
        while not self.stop:
            await self.ask(stream=len(self.sent) % 2 == 0)
            await asyncio.sleep(PAUSE_SECONDS)

    async def long_ones(self) -> None:
        while not self.killed:
            await self.ask(stream=True, tokens=LONG)

    def far_from_done(self, vllm: VllmServer) -> set[str]:
        """The long streams that this server writes; a busy one puts several tokens in a chunk."""
        begun = {request_id for request_id, chunks in self.streaming.items() if SHORT < chunks < LONG / 10}
        return begun & seen_by(vllm)

    async def cut_off(self, vllm: VllmServer) -> set[str]:
        """The streams that a frozen server has begun and not ended: all that it wrote has arrived."""
        its = seen_by(vllm)
        looks: list[dict[str, int]] = []
        while len(looks) < LOOKS or any(look != looks[-1] for look in looks[-LOOKS:]):
            looks.append({request_id: chunks for request_id, chunks in self.streaming.items() if request_id in its})
            await asyncio.sleep(PAUSE_SECONDS)
        return set(looks[-1])

    def served(self) -> Counter[str]:
        """Whole answers by endpoint."""
        return Counter(
            line["endpoint"] for line in self.decisions().values() if self.outcomes.get(line["request_id"]) == "whole"
        )

    def decisions(self) -> dict[str, dict[str, Any]]:
        """The daemon's line for each request that has ended; one has no more than one."""
        lines = [line for line in self.daemon.log_lines() if line["event"] == "routing_decision"]
        found = {line["request_id"]: line for line in lines}
        assert len(found) == len(lines)
        return found

    async def each_serves(self, *endpoints: str, more: int = 10) -> None:
        """Wait until each has given so many whole answers again."""
        before = self.served()

        def have() -> bool:
            now = self.served()
            return all(now[endpoint] >= before[endpoint] + more for endpoint in endpoints)

        await self.polled(have, f"{endpoints} answer")

    async def polled(self, holds: Callable[[], bool], what: str) -> None:
        start = time.monotonic()
        while not holds():
            assert time.monotonic() - start < WITHIN_SECONDS, f"not within {WITHIN_SECONDS:g} s: {what}"
            await asyncio.sleep(PAUSE_SECONDS)


def _error(body: bytes, status: int) -> str:
    """The status of an error; fails where it has not OpenAI's form."""
    error = json.loads(body)["error"]
    assert {"message", "type", "param", "code"} <= set(error), error
    assert isinstance(error["message"], str)
    return str(status)


def seen_by(vllm: VllmServer, since: int = 0) -> set[str]:
    """The requests that its log tells of."""
    return set(re.findall(r"(of-two-\d+)", vllm.log_text(since)))


async def test_one_of_two_vllms_is_killed_and_started_again_under_load(
    servers: tuple[VllmServer, Mortal], tmp_path: Path
) -> None:
    """Only what was at the killed one fails, and says so; the other serves all that comes; then both do again."""
    spared, mortal = servers
    spared_log = spared.log_size()
    config = shipped_config(spared.port)
    config["vllm_endpoints"][0]["name"] = "spared"
    config["vllm_endpoints"].append({"name": "mortal", "address": "127.0.0.1", "port": mortal.port})
    config["model_config"][BASE]["preferred_endpoints"] = ["spared", "mortal"]
    config["pointsman"] = {
        "adapters": {"poll_interval_ms": 200},
        "relay": {"health_interval_ms": 200, "breaker_open_ms": 200},
    }
    async with run_daemon(config, tmp_path) as daemon:
        load = Load(daemon)
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(load.one_after_another())
                group.create_task(load.long_ones())
            await load.each_serves("spared", "mortal")
            streaming: set[str] = set()
            while not streaming:  # those that were seen far from done may have been written to their ends by then
                mortal.send(signal.SIGCONT)
                await load.polled(lambda: bool(load.far_from_done(mortal.lives[0])), "a long stream")
                mortal.send(signal.SIGSTOP)
                streaming = await load.cut_off(mortal.lives[0])
            load.killed = True
            await asyncio.to_thread(mortal.kill)
            sent_by_then = set(load.sent)

            await until(daemon, "endpoint_reachable", 0, endpoint="mortal")
            await load.each_serves("spared")
            await asyncio.get_running_loop().run_in_executor(mortal.pool, mortal.start)
            await until(daemon, "endpoint_reachable", 1, endpoint="mortal")
            await load.each_serves("spared", "mortal")
            load.stop = True
        await until(daemon, "requests_in_flight", 0)
        await eventually(lambda: load.decisions().keys() == load.outcomes.keys(), "a line for each request")
        lines = load.decisions()

    failed = {request_id for request_id, outcome in load.outcomes.items() if outcome != "whole"}
    assert {lines[request_id]["endpoint"] for request_id in failed} == {"mortal"}
    assert failed <= sent_by_then, "requests failed that came when it was gone"
    assert {load.outcomes[request_id] for request_id in streaming} == {"error event"}
    # 500 are the last words of a front end whose engine was gone a moment before it.
    assert {load.outcomes[request_id] for request_id in failed} <= {"error event", "502", "500"}
    # What both had was sent again by the one rule that allows it: an idle connection died without a byte of an answer.
    for request_id in seen_by(mortal.lives[0]) & seen_by(spared, spared_log):
        assert "reused" in [tried["why"] for tried in lines[request_id]["retried"]]


async def test_what_a_full_vllm_turns_away_another_one_answers(
    vllm: VllmServer, vllm_venv: Path, tiny_model: Path, tmp_path: Path
) -> None:
    config = shipped_config(vllm.port)
    config["vllm_endpoints"][0] |= {"name": "free", "weight": 0}
    options = ("--max-num-queued-reqs", "1")
    with run_vllm(vllm_venv, tiny_model, tmp_path / "full.log", args=options) as full:
        config["vllm_endpoints"].append({"name": "full", "address": "127.0.0.1", "port": full.port})
        config["model_config"][BASE]["preferred_endpoints"] = ["free", "full"]
        async with run_daemon(config, tmp_path) as daemon:

            def turned_away() -> int:
                lines = [line for line in daemon.log_lines() if line.get("endpoint") == "free"]
                return [tried["why"] for line in lines for tried in line.get("retried", ())].count("queue_full")

            async with asyncio.timeout(4 * PATIENCE_SECONDS):
                for count, stream in enumerate((False, True), 1):
                    while turned_away() < count:  # on a busy host, the long answer may have ended before
                        async with connect(daemon.base_url) as busy:
                            busy.send(post(chat(model=BASE, stream=True, max_tokens=LONG)))
                            assert (await busy.head())[0] == 200
                            got = await ask(daemon.base_url, chat(TECHNICAL, stream=stream, max_tokens=1))
                            assert got.status == 200
