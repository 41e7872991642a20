"""A daemon with every default, in front of an upstream that a test scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.hostile import Hostile, run_hostile
from support.relay import Relay, run_relay


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_upstream() -> AsyncIterator[Hostile]:
    async with run_hostile() as hostile:
        yield hostile


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_relay(shared_upstream: Hostile, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Relay]:
    async with run_relay(tmp_path_factory.mktemp("relay"), shared_upstream) as relay:
        yield relay


@pytest_asyncio.fixture(loop_scope="session")
async def upstream(shared_upstream: Hostile) -> Hostile:
    """Listening, and without a memory of the tests before."""
    shared_upstream.reset()
    return shared_upstream


@pytest_asyncio.fixture(loop_scope="session")
async def relay(shared_relay: Relay, upstream: Hostile) -> Relay:
    return shared_relay
