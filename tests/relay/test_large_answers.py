"""Large answers keep no other client waiting."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from support import large_answers
from support.daemon import Daemon, run_daemon
from support.health_prober import probing
from support.hostile import Hostile
from support.process import reserve_port
from support.raw_client import chat, post
from support.relay import relay_config
from support.toy_artifact import build_measured

pytestmark = pytest.mark.asyncio(loop_scope="session")

BOUND_MS = 500


@dataclass(frozen=True)
class Before:
    """A daemon before two upstreams: `base` is answered by this process, `large` by another one, at `large_port`."""

    daemon: Daemon
    large_port: int

    @property
    def port(self) -> int:
        return urlsplit(self.daemon.base_url).port or 0

    @contextlib.asynccontextmanager
    async def delays(self) -> AsyncIterator[list[float]]:
        """Of another client's `/health` and small requests while the block lasts, in ms; they are known after it."""
        delays: list[float] = []
        url = self.daemon.base_url
        async with probing(url) as health, probing(url, post(chat())) as small:
            yield delays
        assert health
        assert small
        delays += health + small


@pytest_asyncio.fixture(loop_scope="session")
async def before(upstream: Hostile, tmp_path: Path) -> AsyncIterator[Before]:
    port = reserve_port()
    config = relay_config(str(build_measured(tmp_path / "toy")), upstream.port, port)
    config["model_config"] = {"base": {"preferred_endpoints": ["a"]}, "large": {"preferred_endpoints": ["b"]}}
    async with large_answers.serving(port), run_daemon(config, tmp_path) as daemon:
        yield Before(daemon, port)


async def test_128_answers_of_20_mb_at_once_delay_no_other_client(before: Before) -> None:
    """What was found were 1.2 s, on a quiet machine. The best of three rounds counts."""
    longest: list[float] = []
    while len(longest) < 3 and min(longest, default=BOUND_MS) >= BOUND_MS:
        async with before.delays() as delays:
            assert await large_answers.read_at_once(before.port, 128) == 128
        longest.append(max(delays))
    assert min(longest) < BOUND_MS, longest
