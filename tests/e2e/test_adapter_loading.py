"""Which adapters are loaded, when, and what becomes of a load that fails."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from support.adapter_world import LOAD, SOON, TECHNICAL_PATH, World, ill, run_world, without
from support.lora_vllm import BASE, refusal
from support.metrics import until
from support.process import PATIENCE_SECONDS, eventually
from support.service import CHAT
from support.two_sides import put, reload

pytestmark = pytest.mark.asyncio(loop_scope="module")


LOADED = ["/v1/load_lora_adapter technical-lora", "/v1/completions technical-lora"]


async def test_a_missing_adapter_is_loaded_and_gets_no_traffic_before_it_has_answered(tmp_path: Path) -> None:
    vllm = without("technical-lora")
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request, _: bytes) -> web.StreamResponse:
        assert await request.json() == {"model": "technical-lora", "prompt": "Hello", "max_tokens": 1}
        reached.set()
        await go_on.wait()
        return web.json_response({})

    vllm.steps["/v1/completions"] = slow
    async with run_world(tmp_path, vllm, adapters=LOAD, paths=TECHNICAL_PATH, known=False) as world:
        await asyncio.wait_for(reached.wait(), PATIENCE_SECONDS)
        assert "technical-lora" in vllm.listed
        assert (await world.state())["state"] == "loading"
        reply = await world.ask()
        assert (reply.json["model"], reply.headers["x-pointsman-reason"]) == (BASE, "adapter_missing")
        assert "technical-lora" not in (await world.service.get("/v1/models")).body.decode()

        go_on.set()
        await world.reaches("served")
        assert (await world.ask()).json["model"] == "technical-lora"
        assert vllm.paths == [*LOADED, f"{CHAT} {BASE}", f"{CHAT} technical-lora"]
        await world.service.daemon.logged("adapter", endpoint="vllm0", adapter="technical-lora", state="loaded")
        assert (await world.metrics()).total("adapter_changes_total", endpoint="vllm0", outcome="loaded") == 1


async def test_only_adapters_with_a_path_are_loaded_and_only_where_load_says_so(tmp_path: Path) -> None:
    """And one at a time."""
    vllm = without("technical-lora", "medical-lora", "legal-lora")
    running: list[str] = []
    most = 0

    async def load(_: web.Request, body: bytes) -> web.StreamResponse:
        nonlocal most
        name = json.loads(body)["lora_name"]
        running.append(name)
        most = max(most, len(running))
        await asyncio.sleep(0.05)
        running.remove(name)
        return vllm.load(name)

    vllm.steps["/v1/load_lora_adapter"] = load
    both = {"technical-lora": "/srv/technical", "legal-lora": "/srv/legal"}
    async with run_world(tmp_path, vllm, adapters=LOAD, paths=both, known=False) as world:
        await world.reaches("served", "technical-lora")
        await world.reaches("served", "legal-lora")
        assert (await world.state("medical-lora"))["state"] == "missing"
        assert most == 1

    other = without("technical-lora")
    async with run_world(tmp_path, other, adapters=SOON, paths=TECHNICAL_PATH) as world:
        polls = other.polls
        await eventually(lambda: other.polls > polls + 2, "it is polled")
        assert other.paths == []


async def test_an_adapter_is_not_loaded_where_its_base_is_not_served(tmp_path: Path) -> None:
    """It would load, and answer with noise."""
    right, wrong = without("technical-lora"), without("technical-lora")

    async def other_base(_: web.Request, __: bytes) -> web.StreamResponse:
        return web.json_response({"data": [{"id": "other-base"}]})

    def second_base(config: Any) -> None:
        config["model_config"]["other-base"] = {}

    wrong.steps["/v1/models"] = other_base
    async with run_world(
        tmp_path, wrong, right, adapters=LOAD, paths=TECHNICAL_PATH, change=second_base, known=False
    ) as world:
        await eventually(lambda: "technical-lora" in right.listed, "it is loaded where its base is")
        polls = wrong.polls
        await eventually(lambda: wrong.polls > polls + 2, "the other is polled")
        assert wrong.paths == []
        assert (await world.change("load", {"name": "technical-lora"})).json["endpoints"] == {"vllm1": None}


async def test_a_failure_takes_no_traffic_down_and_is_not_tried_again_at_once(tmp_path: Path) -> None:
    vllm = without("technical-lora")
    vllm.steps["/v1/load_lora_adapter"] = ill
    async with run_world(tmp_path, vllm, adapters=LOAD, paths=TECHNICAL_PATH, known=False) as world:
        found = await world.reaches("failed")
        assert (found["error"], found["failures"]) == ("vLLM answers with status 500", 1)
        assert 0 <= found["retry_in_s"] <= 10
        line = await world.service.daemon.logged("adapter", adapter="technical-lora", state="failed")
        assert (line["level"], line["error"]) == ("warning", found["error"])
        assert (await world.ask()).json["model"] == BASE

        polls = vllm.polls
        await eventually(lambda: vllm.polls > polls + 2, "it is polled")
        assert vllm.paths.count(LOADED[0]) == 1
        assert (await world.metrics()).total("adapter_changes_total", outcome="failed") == 1
        assert "failed: vLLM answers with status 500 (failures: 1, next try in " in (await world.cli()).stdout


def error(message: str, status: int, kind: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": status}}).encode()


async def test_an_adapter_that_loads_and_does_not_answer_is_taken_away_again(quiet: World) -> None:
    quiet.vllm.listed.remove("technical-lora")

    async def dead(_: web.Request, __: bytes) -> web.StreamResponse:
        return refusal(500, "InternalServerError", "EngineCore encountered an issue")

    quiet.vllm.steps["/v1/completions"] = dead
    reply = await quiet.change("load", {"name": "technical-lora"})

    expected = "it is loaded and does not answer: EngineCore encountered an issue"
    assert (reply.status, reply.json["endpoints"]) == (502, {"vllm0": expected})
    assert quiet.vllm.paths == [*LOADED, "/v1/unload_lora_adapter technical-lora"]
    assert "technical-lora" not in quiet.vllm.listed


async def test_one_that_cannot_be_taken_away_again_gets_no_traffic_until_it_answers(quiet: World) -> None:
    quiet.vllm.listed.remove("technical-lora")
    quiet.vllm.steps |= {"/v1/completions": ill, "/v1/unload_lora_adapter": ill}
    assert (await quiet.change("load", {"name": "technical-lora"})).status == 502
    assert "technical-lora" in quiet.vllm.listed
    assert (await quiet.ask()).json["model"] == BASE

    quiet.vllm.steps.clear()
    reply = await quiet.change("load", {"name": "technical-lora"})
    assert (reply.status, reply.json) == (200, {"name": "technical-lora", "endpoints": {"vllm0": None}})
    assert (await quiet.ask()).json["model"] == "technical-lora"


@pytest.mark.parametrize("deadly", [False, True])
async def test_a_vllm_that_came_back_is_given_what_it_refused_but_not_what_killed_it(
    tmp_path: Path, deadly: bool
) -> None:
    vllm = without("technical-lora")

    async def fail(request: web.Request, _: bytes) -> web.StreamResponse:
        if deadly:
            assert request.transport is not None
            request.transport.abort()
        return refusal(500, "InternalServerError", "no")

    vllm.steps["/v1/load_lora_adapter"] = fail
    async with run_world(
        tmp_path, vllm, adapters=LOAD, paths=TECHNICAL_PATH, known=False, relay={"health_interval_ms": 20}
    ) as world:
        await world.reaches("failed")
        vllm.steps["/health"] = ill
        await until(world.service.daemon, "endpoint_reachable", 0, endpoint="vllm0")
        vllm.steps.clear()
        await until(world.service.daemon, "endpoint_reachable", 1, endpoint="vllm0")
        if not deadly:
            await world.reaches("served")
            return
        polls = vllm.polls
        await eventually(lambda: vllm.polls > polls + 2, "it is polled")
        assert vllm.paths == [LOADED[0]]


async def test_an_adapter_is_added_by_a_new_config_and_what_was_known_stays_known(tmp_path: Path) -> None:
    """Neither Pointsman nor vLLM is restarted. What an operator unloaded stays unloaded."""
    vllm = without("technical-lora", "legal-lora")
    async with run_world(tmp_path, vllm, adapters=LOAD, paths={"medical-lora": "/srv/medical"}) as world:
        assert (await world.change("unload", {"name": "medical-lora"})).status == 200
        assert (await world.ask()).json["model"] == BASE

        config = yaml.safe_load(world.service.daemon.config.read_text())
        for lora in config["model_config"][BASE]["loras"]:
            lora["path"] = f"/srv/{lora['name']}"
        put(world.service.daemon.config, config)
        assert (await reload(world.service.daemon))[0] == 200

        await world.reaches("served")
        await world.reaches("served", "legal-lora")
        assert (await world.ask()).json["model"] == "technical-lora"
        assert (await world.state("medical-lora"))["state"] == "unloaded"
