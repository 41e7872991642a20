"""Our two protocols, which only look like asyncio's: compiled classes cannot inherit from it."""

from __future__ import annotations

import asyncio

import pytest

from pointsman.http.connection import Connection
from pointsman.relay.channel import Channel


@pytest.mark.parametrize("protocol", [Connection, Channel])
def test_all_that_an_event_loop_calls_is_there(protocol: type) -> None:
    called = {name for name in dir(asyncio.Protocol) if not name.startswith("_")}

    assert called
    assert called - set(dir(protocol)) == set()
