"""The upstream that misbehaves on purpose must not take the test that uses it down."""

from __future__ import annotations

import asyncio

from support.hostile import Connection, Hostile


class Broken(asyncio.Transport):
    """As asyncio's where the peer has reset the connection: it takes all that is written, and drops it."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Say nothing: `connection_lost` comes in the loop's next turn."""


async def test_a_script_that_only_sends_sees_its_peer_leave() -> None:
    connection = Connection(Hostile())
    connection.connection_made(Broken())
    asyncio.get_running_loop().call_soon(connection.connection_lost, None)

    await connection.send(b"x")

    assert connection.gone.is_set()
