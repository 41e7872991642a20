"""The balancers' configurations in docs/operations.md do what is said of them, with two daemons behind them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support import needs
from support.hostile import DONE, Exchange, Hostile, run_hostile
from support.process import PATIENCE_SECONDS, log_tail, no_survivors, reserve_port
from support.raw_client import Cut, Got, ask, connect, post
from support.relay import Relay, run_relay

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
CONVERSATIONS = 24


def snippet(language: str, port: int, relays: list[Relay]) -> str:
    """The block of this language in the docs, with its addresses in place of those of an example."""
    (text,) = re.findall(rf"```{language}\n(.*?)```", OPERATIONS.read_text("utf-8"), re.DOTALL)
    text = re.sub(r"(bind |listen )[*:]*8080", rf"\g<1>127.0.0.1:{port}", text)
    for number, relay in enumerate(relays, 1):
        text = text.replace(f"10.0.0.{number}:8080", relay.url.removeprefix("http://"))
    return text


def haproxy(port: int, relays: list[Relay], folder: Path) -> list[str]:
    """The command that starts it as the docs configure it."""
    (folder / "haproxy.cfg").write_text(snippet("haproxy", port, relays))
    return ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]


def nginx(port: int, relays: list[Relay], folder: Path) -> list[str]:
    """The same, with the folders and the events that the docs leave to the distribution."""
    (folder / "temp").mkdir()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/temp/{kind};\n" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off;\n{paths}{snippet('nginx', port, relays)} }}"
    )
    return ["nginx", "-e", "stderr", "-c", str(folder / "nginx.conf")]


@dataclass(frozen=True)
class Balanced:
    url: str
    relays: list[Relay]

    async def ask(self, conversation: int, *turns: str) -> Got:
        """A turn of a conversation, which both tells what it is and shows it."""
        roles = ("user", "assistant") * len(turns)
        said = [{"role": role, "content": f"{conversation}: {turn}"} for role, turn in zip(roles, turns, strict=False)]
        messages = [{"role": "system", "content": "the same for all"}, *said]
        return await ask(self.url, {"model": "base", "messages": messages}, f"X-Session-Id: {conversation}")

    def seen(self) -> list[set[int]]:
        """The conversations that each host has had."""
        return [
            {int(request.json["messages"][1]["content"].partition(":")[0]) for request in chats(relay)}
            for relay in self.relays
        ]


def chats(relay: Relay) -> list[Any]:
    return [exchange.request for exchange in relay.upstream.requests]


@pytest_asyncio.fixture(loop_scope="module", params=[haproxy, nginx], ids=["HAProxy", "nginx"])
async def balanced(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Balanced]:
    make: Callable[[int, list[Relay], Path], list[str]] = request.param
    needs.program(make.__name__)
    async with contextlib.AsyncExitStack() as stack:
        relays = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            upstream: Hostile = await stack.enter_async_context(run_hostile())
            relays.append(await stack.enter_async_context(run_relay(tmp_path / name, upstream)))
        port = reserve_port()
        command = make(port, relays, tmp_path)
        log = tmp_path / "balancer.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command, stdout=output, stderr=output, start_new_session=True
            )
        with no_survivors(process.pid):
            url = f"http://127.0.0.1:{port}"
            await answering(url, process, log)
            yield Balanced(url, relays)
        await process.wait()


async def answering(url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    """Wait until a request gets through."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            assert process.returncode is None, log_tail(log)
            with contextlib.suppress(OSError, Cut):
                async with connect(url) as client:
                    client.send(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
                    if (await client.answer()).status == 200:
                        return
            await asyncio.sleep(0.05)


async def test_all_turns_of_a_conversation_reach_one_host_and_both_have_some(balanced: Balanced) -> None:
    for number in range(CONVERSATIONS):
        for turns in (["hello"], ["hello", "hi", "and?"], ["hello", "x" * 1_000_000, "and?", "so", "thanks"]):
            assert (await balanced.ask(number, *turns)).status == 200

    one, two = balanced.seen()
    assert one | two == set(range(CONVERSATIONS))
    assert one & two == set()
    assert one
    assert two


async def test_a_stream_is_not_held_back(balanced: Balanced) -> None:
    go_on = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await exchange.send(b"7\r\ndata: 1\r\n2\r\n\n\n\r\n")
        await go_on.wait()
        await exchange.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(DONE), DONE))

    for relay in balanced.relays:
        relay.upstream.script = script
    async with connect(balanced.url) as client:
        client.send(post({"model": "base", "messages": [{"role": "user", "content": "x"}], "stream": True}))
        assert (await client.head())[0] == 200
        chunks = client.chunks()
        got = await anext(chunks)
        while b"data: 1\n\n" not in got:
            got += await anext(chunks)
        go_on.set()
        assert b"".join([data async for data in chunks]).endswith(DONE)


async def test_when_a_host_stops_the_other_has_all(balanced: Balanced) -> None:
    balanced.relays[0].daemon.process.terminate()
    await balanced.relays[0].daemon.process.wait()

    answers = [await balanced.ask(number, "hello") for number in range(CONVERSATIONS)]

    assert [answer.status for answer in answers] == [200] * CONVERSATIONS
    assert [json.loads(answer.body)["model"] for answer in answers] == ["base"] * CONVERSATIONS
