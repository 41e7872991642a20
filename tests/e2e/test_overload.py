"""More texts than the host can classify: a real daemon with the built-in classifier, and long texts all at once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.daemon import run_daemon
from support.service import Service, chat, shipped_config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from support.fake_vllm import FakeVllm

pytestmark = pytest.mark.asyncio(loop_scope="session")

AT_ONCE = 400
BATCH = "/api/v1/classify/batch"
LIMIT_SECONDS = 600.0


def long_text(number: int) -> str:
    """More tokens than the classifier reads, and no other number's text."""
    return f"{number} " + "How does the compiler allocate registers? " * 100


@contextlib.asynccontextmanager
async def serving(vllm: FakeVllm, folder: Path, **options: Any) -> AsyncIterator[Service]:
    """A daemon with these options of the classifier, and as many connections to it as are asked for."""
    config = shipped_config(vllm.port) | {"pointsman": {"classifier": options, "log": {"requests": False}}}
    unlimited = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=LIMIT_SECONDS)
    )
    async with run_daemon(config, folder) as daemon, unlimited as http:
        yield Service(daemon, vllm, http)


async def metric(service: Service, name: str) -> float:
    exposition = (await service.get("/metrics", admin=True)).body.decode()
    samples = [sample for family in text_string_to_metric_families(exposition) for sample in family.samples]
    return next(sample.value for sample in samples if sample.name == f"pointsman_{name}")


async def longest_lag(service: Service) -> float:
    """By how many seconds at most the event loop, which looks at the deadline, was late."""
    exposition = (await service.get("/metrics", admin=True)).body.decode()
    families = {family.name: family for family in text_string_to_metric_families(exposition)}
    samples = families["pointsman_loop_lag_seconds"].samples
    buckets = [(float(s.labels["le"]), s.value) for s in samples if s.name.endswith("_bucket")]
    return next(bound for bound, count in buckets if count == buckets[-1][1])


async def until(service: Service, name: str, holds: Callable[[float], bool]) -> None:
    """Poll a metric until its value is right."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not holds(await metric(service, name)):  # noqa: ASYNC110 - the event is in another process
            await asyncio.sleep(0.01)


async def test_the_admitted_have_their_class_in_time_and_the_others_the_fallback(
    fake_vllm: FakeVllm, tmp_path: Path
) -> None:
    answers: list[Any] = []
    reasons: Counter[str] = Counter()
    async with serving(fake_vllm, tmp_path, threads=1, deadline_ms=500) as service, asyncio.timeout(LIMIT_SECONDS):
        deadline_ms = (await service.daemon.logged("classifier", provider="cpu"))["deadline_ms"]
        while not (any(answer["text"] for answer in answers) and reasons["overloaded"]):
            numbers = range(len(answers), len(answers) + AT_ONCE)
            replies = await asyncio.gather(*(service.post("/v1/route", chat(long_text(number))) for number in numbers))
            answers += [reply.json for reply in replies]
            reasons = Counter(answer["decision"]["reason"] for answer in answers)
        assert reasons["overloaded"] == await metric(service, "classifier_shed_total")
        late_ms = 1000 * await longest_lag(service)
    admitted = [answer["timing_ms"] for answer in answers if answer["text"] is not None]
    assert len(admitted) + reasons["overloaded"] + reasons["deadline"] == len(answers)
    for timing in admitted:  # with no deadline the last would wait for 10 s
        assert timing["queue"] + timing["tokenize"] + timing["infer"] <= 2 * deadline_ms + late_ms
    for answer in answers:
        if answer["decision"]["reason"] == "overloaded":
            assert answer["decision"]["model"] == "llama2-7b"
            assert answer["timing_ms"].keys() == {"decide"}


async def test_a_batch_that_takes_longer_than_the_deadline_is_classified_whole(
    fake_vllm: FakeVllm, tmp_path: Path
) -> None:
    """It does not fill the queue, in which what comes meanwhile has its turn."""
    async with serving(fake_vllm, tmp_path, threads=1, deadline_ms=1000) as service, asyncio.timeout(LIMIT_SECONDS):
        texts = [long_text(number) for number in range(200)]
        both = [asyncio.create_task(service.post(BATCH, {"texts": part})) for part in (texts[:100], texts[100:])]
        await until(service, "classifier_runs_total", lambda value: value > 0)
        short: Any = None
        for number in itertools.count():  # on a busy host some are later than their deadline
            if short := (await service.post("/v1/route", chat(f"What is {number} squared?"))).json["text"]:
                break
        assert (short["source"], any(batch.done() for batch in both)) == ("run", False)
        assert [(await batch).json["total_count"] for batch in both] == [100, 100]


async def test_texts_whose_client_left_are_never_classified(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    async with serving(fake_vllm, tmp_path, threads=1, deadline_ms=6_000_000) as service:
        asked = [asyncio.create_task(service.post("/v1/route", chat(long_text(number)))) for number in range(AT_ONCE)]
        await until(service, "classifier_cache_misses_total", lambda value: value == AT_ONCE)
        for task in asked:
            task.cancel()
        await asyncio.wait(asked)
        await until(service, "classifier_queue", lambda value: value == 0)
        assert await metric(service, "classifier_dropped_total") > 0


async def test_the_event_loops_lag_is_told(service: Service) -> None:
    before = await metric(service, "loop_lag_seconds_count")
    await until(service, "loop_lag_seconds_count", lambda value: value > before)
