"""When vLLM is asked what it serves, and what follows from its answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from support.adapter_world import NEVER, ill, run_world
from support.lora_vllm import BASE, LoraVllm
from support.metrics import until
from support.process import eventually
from support.service import MEDICAL, TECHNICAL

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_adapter_gets_traffic_when_it_appears_and_none_when_it_has_gone(tmp_path: Path) -> None:
    async with run_world(tmp_path) as world:
        world.vllm.listed.remove("technical-lora")
        await world.reaches("missing")
        assert (await world.ask()).json["model"] == BASE
        assert (await world.metrics()).total("adapters_served", endpoint="vllm0") == 2

        world.vllm.listed.append("technical-lora")
        await until(world.service.daemon, "adapters_served", 3, endpoint="vllm0")
        assert (await world.ask()).json["model"] == "technical-lora"
        assert (await world.metrics()).total("adapters_configured", endpoint="vllm0") == 3


async def test_a_vllm_that_comes_back_is_asked_at_once(tmp_path: Path) -> None:
    async with run_world(tmp_path, adapters={"poll_interval_ms": NEVER}, relay={"health_interval_ms": 20}) as world:
        world.vllm.steps["/health"] = ill
        await until(world.service.daemon, "endpoint_reachable", 0, endpoint="vllm0")
        world.vllm.listed.remove("technical-lora")
        polls = world.vllm.polls
        del world.vllm.steps["/health"]

        await eventually(lambda: world.vllm.polls > polls, "it is asked what it serves")
        await until(world.service.daemon, "adapters_served", 2, endpoint="vllm0")


async def test_a_vllm_that_never_said_what_it_serves_gets_the_adapters_traffic(tmp_path: Path) -> None:
    """Nothing waits for it, and a wrong guess is fixed as any 404."""
    vllm = LoraVllm()
    vllm.steps["/v1/models"] = ill
    async with run_world(tmp_path, vllm, known=False) as world:
        vllm.listed.remove("medical-lora")

        assert (await world.ask(TECHNICAL)).json["model"] == "technical-lora"
        assert (await world.ask(MEDICAL)).json["model"] == BASE
        assert (await world.state())["state"] == "unknown"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, "put it in a file and name that in pointsman.relay.api_key_file"),
        ("wrong", "refuses the key in pointsman.relay.api_key_file"),
    ],
)
async def test_a_401_says_which_key_is_missing_and_where_it_belongs(
    tmp_path: Path, key: str | None, expected: str
) -> None:
    vllm = LoraVllm()

    async def unauthorized(request: web.Request, _: bytes) -> web.StreamResponse:
        assert request.headers.get("Authorization") == (key and f"Bearer {key}")
        return web.json_response({"error": "Unauthorized"}, status=401)

    (tmp_path / "key").write_text(key or "")
    options: Any = {"relay": {"api_key_file": str(tmp_path / "key")}} if key else {}
    async with run_world(tmp_path, vllm, known=False, **options) as world:
        vllm.steps["/v1/models"] = unauthorized
        found = await world.adapters()
        assert expected in found["error"]
        assert "--api-key" in found["error"]
        await world.service.daemon.logged("endpoint", endpoint="vllm0", state=f"models unknown: {found['error']}")
        ready = await world.service.get("/ready")
        assert (ready.status, ready.json["error"]["code"]) == (503, "not_ready")
        assert b"\npointsman_ready 0.0\n" in (await world.service.get("/metrics", admin=True)).body
        assert expected in (await world.cli()).stdout
