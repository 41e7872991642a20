"""Spans of a running daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.collector import collecting, values
from support.daemon import run_daemon
from support.fake_vllm import FakeVllm
from support.process import eventually
from support.quick_config import quick_config
from support.service import CHAT, MEDICAL, chat

pytestmark = pytest.mark.asyncio(loop_scope="session")

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def traced(vllm: FakeVllm, url: str) -> dict[str, Any]:
    config = quick_config(vllm.port)
    config["pointsman"] = config.get("pointsman", {}) | {"tracing": {"endpoint": url}}
    return config


async def test_the_spans_of_a_daemon_reach_a_collector(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    environment = {"OTEL_RESOURCE_ATTRIBUTES": "host.name=here"}
    with collecting() as collector:
        async with (
            run_daemon(traced(fake_vllm, collector.url), tmp_path, env=environment) as daemon,
            aiohttp.ClientSession() as http,
        ):
            given = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            async with http.post(daemon.base_url + CHAT, json=chat(MEDICAL, stream=True), headers=given) as response:
                await response.read()
            await eventually(lambda: bool(collector.spans), "a span")
        (span,) = collector.spans
        found = values(span.attributes)

    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert found["gen_ai.response.model"] == "medical-lora"
    assert (found["pointsman.category"], found["pointsman.reason"]) == ("medical", "classified")
    assert collector.resource["host.name"] == "here"
    assert fake_vllm.last.values("traceparent") == [f"00-{TRACE}-{span.span_id.hex()}-01"]
