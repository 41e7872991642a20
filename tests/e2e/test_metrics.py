"""The metrics of a running daemon: well-formed, bounded, all documented."""

from __future__ import annotations

import asyncio
import random
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from support import needs
from support.fake_vllm import event
from support.raw_client import connect, post
from support.service import CHAT, MEDICAL, TECHNICAL, Service, chat

pytestmark = pytest.mark.asyncio(loop_scope="session")

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


async def scrape(service: Service) -> str:
    return (await service.get("/metrics", admin=True)).body.decode()


async def used(service: Service) -> str:
    """The metrics of a daemon that has routed, streamed, relayed and refused."""
    for text in (TECHNICAL, MEDICAL):
        assert (await service.post(CHAT, chat(text))).status == 200
    assert (await service.post(CHAT, chat(stream=True))).status == 200
    assert (await service.post("/tokenize", {"prompt": "x"})).status == 200
    assert (await service.post(CHAT, b"{")).status == 400
    assert (await service.get("/nowhere")).status == 404
    return await scrape(service)


async def test_promtool_finds_nothing_to_object_to(service: Service) -> None:
    command = (needs.program("promtool", "prometheus"), "check", "metrics")
    text = await used(service)
    done = await asyncio.to_thread(
        subprocess.run, command, input=text, capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_every_metric_is_documented(service: Service) -> None:
    families = [family.name for family in text_string_to_metric_families(await used(service))]
    documented = OPERATIONS.read_text("utf-8")

    assert [name for name in families if f"`{name.removeprefix('pointsman_')}`" not in documented] == []
    assert [name for name in families if not name.startswith(("pointsman_", "process_"))] == []


def invented(seed: int) -> Iterator[str]:
    """Names that nobody configured."""
    dice = random.Random(seed)  # noqa: S311
    while True:
        yield "".join(dice.choices(string.ascii_letters, k=12))


async def ask_anything(service: Service, seed: int) -> None:
    """Random models, paths, methods, ids, and what they say their conversation is."""
    names = invented(seed)
    for _ in range(10):
        await service.post(CHAT, chat(model=next(names)))
        await service.post(CHAT, chat(next(names)))
        await service.post("/tokenize", {"model": next(names), "prompt": "x"})
        await service.post("/v1/responses", {"model": next(names), "input": "x"}, {"X-Request-Id": next(names)})
        await service.post(f"/{next(names)}/{next(names)}", {})
        await service.get(f"/v1/responses/{next(names)}")
        for method in (next(names).upper(), "OPTIONS", "PROPFIND"):
            async with connect(service.daemon.base_url) as client:
                client.send(post({}, path=f"{CHAT}?{next(names)}").replace(b"POST", method.encode(), 1))
                assert (await client.answer()).status == 405


def series(text: str) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    return {
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def series_values(text: str) -> Iterator[tuple[str, float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, sample.value


async def test_clients_cannot_make_new_series(service: Service) -> None:
    """What a client may invent, it may invent without end."""
    await used(service)
    await ask_anything(service, 1)
    before = series(await scrape(service))
    await ask_anything(service, 2)

    assert series(await scrape(service)) == before


async def test_a_decision_is_counted_with_its_outcome(service: Service) -> None:
    text = await used(service)
    (name,) = {name for name, labels in series(text) if ("category", "medical") in labels}
    labels = dict(next(labels for _, labels in series(text) if ("category", "medical") in labels))

    assert name == "pointsman_decisions_total"
    assert labels == {
        "reason": "classified",
        "category": "medical",
        "model": "medical-lora",
        "status": "200",
        "arm": "",
    }


async def test_the_service_says_that_it_is_ready_and_what_it_is(service: Service) -> None:
    found = dict(series_values(await scrape(service)))

    assert found["pointsman_ready"] == 1
    assert found["pointsman_build_info"] == 1
    assert 0.5 < found["pointsman_confidence_expected"] < 1
    assert found["process_resident_memory_bytes"] > 1e7


async def test_the_confidence_of_what_was_classified_is_counted(service: Service) -> None:
    before = dict(series_values(await scrape(service)))
    for model in ("MoM", "MoM", "medical-lora"):
        await service.post(CHAT, chat(MEDICAL, model))
    after = dict(series_values(await scrape(service)))
    count, total = (after[name] - before[name] for name in ("pointsman_confidence_count", "pointsman_confidence_sum"))

    assert count == 2
    assert 1.5 < total <= 2


async def test_the_first_byte_and_the_gaps_of_a_stream_are_measured(service: Service) -> None:
    async def counts() -> list[float]:
        families = {family.name: family for family in text_string_to_metric_families(await scrape(service))}
        return [
            sum(sample.value for sample in families[f"pointsman_{name}"].samples if sample.name.endswith("_count"))
            for name in ("first_byte_seconds", "chunk_gap_seconds", "request_seconds")
        ]

    arrived = asyncio.Event()

    async def paced(request: web.Request, _: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for word in ("I", " am", " here"):
            await response.write(event("x", word))
            await arrived.wait()  # or the network joins them
            arrived.clear()
        return response

    await used(service)
    before = await counts()
    service.vllm.answer = paced
    async with service.http.post(service.daemon.base_url + CHAT, json=chat(stream=True)) as response:
        while await response.content.readline():
            await response.content.readline()
            arrived.set()
    first_byte, gaps, requests = (after - earlier for after, earlier in zip(await counts(), before, strict=True))

    assert (first_byte, requests) == (1, 1)
    assert gaps >= 2
