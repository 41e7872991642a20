"""Attack with bodies: the worst shapes, many at once on one connection, and many that never end."""

from __future__ import annotations

import asyncio
import itertools
import json
from functools import partial

from soak.attacks.target import AttackedDaemon, again_and_again, meanwhile, together
from support.bodies import MIB, worst
from support.raw_client import chat, post, request_head

LARGE, SMALL = 32 * MIB - 1024, 16 * MIB
BODY = 31 * MIB
PIPELINED = 7
UNFINISHED = 30
PAUSE_SECONDS = 0.2


def shapes() -> dict[str, bytes]:
    """Return a body of each of the worst shapes, half of them of the greatest size and half of half of it."""
    large, small = worst(LARGE), worst(SMALL)
    return {name: (large, small)[number % 2][name] for number, name in enumerate(large)}


async def worst_shapes(target: AttackedDaemon) -> None:
    """Two clients send one body after another and wait for its answer."""
    turns = itertools.cycle(target.bodies.values())

    async def client(source: str) -> None:
        async with target.connect("worst body", source) as raw:
            await asyncio.get_running_loop().sock_sendall(raw, post(next(turns)))
            await target.answer(raw, "worst body")

    await together(again_and_again(partial(client, f"127.0.2.{n}"), PAUSE_SECONDS) for n in (1, 2))


async def pipelined(target: AttackedDaemon) -> None:
    """One client sends seven large bodies at once, and reads all seven answers."""
    loop, requests = asyncio.get_running_loop(), post(json.dumps(chat()).encode().ljust(BODY)) * PIPELINED

    async def client() -> None:
        async with (
            target.connect("seven pipelined bodies", "127.0.2.3") as raw,
            meanwhile(loop.sock_sendall(raw, requests)),
        ):
            got = bytearray()
            while got.count(b"HTTP/1.1 200") < PIPELINED:
                part = await loop.sock_recv(raw, 65536)
                if not part:
                    raise ConnectionError
                got += part
            target.did["seven pipelined bodies: answered"] += 1

    await again_and_again(client, PAUSE_SECONDS)


async def unfinished(target: AttackedDaemon) -> None:
    """Half of thirty clients at one address and half at others send all of a body but its end."""
    data = request_head(BODY) + b" " * (BODY - 1)

    async def client(source: str) -> None:
        async with (
            target.connect("unfinished body", source) as raw,
            meanwhile(asyncio.get_running_loop().sock_sendall(raw, data)),
        ):
            await target.answer(raw, "unfinished body")

    sources = ["127.0.2.4" if number % 2 else f"127.0.3.{number + 1}" for number in range(UNFINISHED)]
    await together(again_and_again(partial(client, source), 1.0) for source in sources)
