"""The metrics of a running daemon: well-formed, bounded, all documented."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support import needs
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


def series_values(text: str) -> Iterator[tuple[str, float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, sample.value


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
