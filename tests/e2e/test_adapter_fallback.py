"""Who answers instead of an adapter that vLLM does not know, or whose endpoint is down."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from support.adapter_world import NEVER, World, ill, run_world, without
from support.fake_vllm import run_fake_vllm
from support.lora_vllm import BASE, LoraVllm
from support.metrics import until
from support.process import PATIENCE_SECONDS, eventually
from support.service import CHAT, TECHNICAL, chat

pytestmark = pytest.mark.asyncio(loop_scope="module")


# --- a 404 for an adapter that the client did not ask for ----------------------------------------


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (CHAT, {}),
        (CHAT, {"stream": True}),
        ("/v1/completions", {"prompt": TECHNICAL}),
        ("/v1/responses", {"input": TECHNICAL}),
        ("/v1/messages", {"max_tokens": 8}),
    ],
)
async def test_the_base_answers_when_vllm_does_not_know_the_adapter_any_more(
    quiet: World, path: str, fields: dict[str, Any]
) -> None:
    """In every form of vLLM's errors, streamed or not; the client sees who answered and why."""
    quiet.vllm.listed.remove("technical-lora")
    reply = await quiet.ask(path=path, **fields)

    assert reply.status == 200
    assert reply.headers["x-vsr-selected-model"] == BASE
    assert reply.headers["x-vsr-selected-category"] == "technical"
    assert reply.headers["x-pointsman-reason"] == "adapter_missing"
    assert quiet.vllm.paths == [f"{path} technical-lora", f"{path} {BASE}"]
    assert quiet.vllm.last.json["model"] == BASE


async def test_such_a_404_is_counted_and_logged_and_vllm_is_asked_at_once(tmp_path: Path) -> None:
    async with run_world(tmp_path, adapters={"poll_interval_ms": NEVER}) as quiet:
        quiet.vllm.listed.remove("technical-lora")
        before = (await quiet.metrics()).total("retries_total", reason="adapter")
        await quiet.service.post(CHAT, chat(), {"X-Request-Id": "told"})

        line = await quiet.service.daemon.logged("routing_decision", request_id="told")
        assert (line["selected_model"], line["reason"], line["status"]) == (BASE, "adapter_missing", 200)
        again = {"endpoint": "vllm0", "why": "adapter", "proof": "vLLM does not know technical-lora"}
        assert line["retried"] == [again]
        assert (await quiet.metrics()).total("retries_total", reason="adapter") == before + 1
        await quiet.service.daemon.logged(
            "endpoint", endpoint="vllm0", state=f"serves {BASE}, medical-lora, legal-lora"
        )

        quiet.vllm.paths.clear()
        assert (await quiet.ask()).headers["x-pointsman-reason"] == "adapter_missing"
        assert quiet.vllm.paths == [f"{CHAT} {BASE}"]


async def test_another_endpoint_that_has_the_adapter_is_asked_first(tmp_path: Path) -> None:
    async with run_world(tmp_path, LoraVllm(), LoraVllm(), adapters={"poll_interval_ms": NEVER}) as world:
        world.vllms[0].listed.remove("technical-lora")
        replies = [await world.ask() for _ in range(20)]

        assert {reply.json["model"] for reply in replies} == {"technical-lora"}
        assert {reply.headers["x-pointsman-reason"] for reply in replies} == {"classified"}
        assert world.vllms[0].paths == [f"{CHAT} technical-lora"]  # once: it was believed


async def test_the_next_entry_comes_before_the_base(tmp_path: Path) -> None:
    def second(config: Any) -> None:
        (category,) = [one for one in config["categories"] if one["name"] == "technical"]
        category["model_scores"].append(category["model_scores"][0] | {"lora_name": "legal-lora", "score": 0.1})

    async with run_world(tmp_path, adapters={"poll_interval_ms": NEVER}, change=second) as world:
        world.vllm.listed.remove("technical-lora")
        reply = await world.ask()
        assert (reply.json["model"], reply.headers["x-pointsman-reason"]) == ("legal-lora", "adapter_missing")

        world.vllm.listed.clear()
        assert (await world.ask()).json["model"] == BASE


async def test_a_vllm_that_lists_what_it_does_not_know_costs_each_request_one_more(tmp_path: Path) -> None:
    """Its frontends do not agree, and the list has the adapter again: the base answers, and nothing goes in circles."""
    async with run_world(tmp_path, adapters={"poll_interval_ms": 10}) as world:

        async def unknown(request: web.Request, body: bytes) -> web.StreamResponse:
            model = json.loads(body)["model"]
            if model != BASE:
                return world.vllm.unknown(request.path, model)
            return web.json_response({"model": model})

        world.vllm.steps[CHAT] = unknown
        replies = await asyncio.gather(*(world.ask() for _ in range(20)))

        assert {(reply.status, reply.json["model"]) for reply in replies} == {(200, BASE)}
        assert len(world.vllm.paths) <= 40


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"detail":"Not Found"}', id="the path"),
        pytest.param(b'{"error":{"message":"Response with id \'r\' not found.","code":404}}', id="something else"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"technical-lora" * 10_000, id="too long to be about a model"),
    ],
)
async def test_a_404_about_something_else_is_the_clients(quiet: World, body: bytes) -> None:

    async def answer(_: web.Request, __: bytes) -> web.StreamResponse:
        return web.Response(status=404, body=body, content_type="application/json", headers={"x-own": "1"})

    quiet.vllm.steps[CHAT] = answer
    for _ in range(2):  # on the same connection
        reply = await quiet.ask()
        assert (reply.status, reply.body) == (404, body)
        assert (reply.headers["x-own"], reply.headers["x-vsr-selected-model"]) == ("1", "technical-lora")
    assert quiet.vllm.paths == [f"{CHAT} technical-lora"] * 2


async def test_a_404_that_breaks_off_is_a_broken_answer(quiet: World) -> None:
    async def broken(request: web.Request, _: bytes) -> web.StreamResponse:
        response = web.StreamResponse(status=404, headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"error":{"message":"The model `technical-lora` does')
        assert request.transport is not None
        request.transport.close()
        return response

    quiet.vllm.steps[CHAT] = broken
    reply = await quiet.ask()
    assert (reply.status, reply.json["error"]["code"]) == (502, "upstream_broken")
    assert quiet.vllm.paths == [f"{CHAT} technical-lora"]


async def test_a_404_that_does_not_come_to_its_end_is_late_and_a_client_that_leaves_it_frees_vllm(
    tmp_path: Path,
) -> None:
    left = asyncio.Event()

    async def stalls(request: web.Request, _: bytes) -> web.StreamResponse:
        response = web.StreamResponse(status=404, headers={"Content-Length": "100"})
        try:
            await response.prepare(request)
            await response.write(b"half")
            await asyncio.Event().wait()
        finally:
            left.set()
        return response

    never: Any = {"poll_interval_ms": NEVER}
    async with run_world(tmp_path, adapters=never, relay={"first_byte_timeout_ms": 1000}) as world:
        world.vllm.steps[CHAT] = stalls
        reply = await world.ask()
        assert (reply.status, reply.json["error"]["code"]) == (504, "upstream_timeout")
        await asyncio.wait_for(left.wait(), PATIENCE_SECONDS)

        left.clear()
        leaves = asyncio.create_task(world.ask())
        await eventually(lambda: len(world.vllm.paths) == 2, "it is asked")
        leaves.cancel()
        await asyncio.wait_for(left.wait(), PATIENCE_SECONDS)


async def test_the_404_of_a_base_that_nobody_serves_is_the_clients(quiet: World) -> None:

    async def unknown(request: web.Request, body: bytes) -> web.StreamResponse:
        return quiet.vllm.unknown(request.path, json.loads(body)["model"])

    quiet.vllm.steps[CHAT] = unknown
    reply = await quiet.ask()

    assert (reply.status, f"`{BASE}`" in reply.json["error"]["message"]) == (404, True)
    assert quiet.vllm.paths == [f"{CHAT} technical-lora", f"{CHAT} {BASE}"]


async def test_the_404_of_an_adapter_that_the_client_named_and_none_has_is_the_clients(
    quiet: World,
) -> None:
    quiet.vllm.listed.remove("technical-lora")
    reply = await quiet.ask(model="technical-lora")

    assert (reply.status, reply.json["error"]["param"]) == (404, "model")
    assert quiet.vllm.paths == [f"{CHAT} technical-lora"]


async def test_a_relayed_path_falls_back_to_the_base_too(tmp_path: Path) -> None:
    """The auto name stands for the default model there, which may be an adapter."""

    def adapter_as_default(config: Any) -> None:
        config["default_model"] = "legal-lora"

    async with run_world(tmp_path, adapters={"poll_interval_ms": NEVER}, change=adapter_as_default) as world:
        world.vllm.listed.remove("legal-lora")
        reply = await world.service.post("/tokenize", {"model": "auto", "prompt": "hello"})

        assert (reply.status, reply.json["model"]) == (200, BASE)


# --- an adapter whose endpoint is down ----------------------------------------


@pytest.mark.parametrize("probed", [True, False])
async def test_where_only_an_endpoint_that_is_down_has_the_adapter_the_base_answers_at_another(
    tmp_path: Path, probed: bool
) -> None:
    """From the very request that finds it out; the adapter answers again when it is back, even if never probed."""
    never: Any = {"poll_interval_ms": NEVER}
    async with contextlib.AsyncExitStack() as other:
        fake = await other.enter_async_context(run_fake_vllm(LoraVllm()))

        def second(config: Any) -> None:
            config["vllm_endpoints"].append({"name": "other", "address": "127.0.0.1", "port": fake.port})

        options: Any = {"relay": {"health_interval_ms": 100 if probed else 0}}
        async with run_world(tmp_path, without("technical-lora"), adapters=never, change=second, **options) as world:
            await world.service.daemon.logged("endpoint", endpoint="other")
            assert (await world.ask()).json["model"] == "technical-lora"

            await other.aclose()
            replies = [await world.ask() for _ in range(5)]
            assert {(reply.status, reply.json["model"]) for reply in replies} == {(200, BASE)}
            assert {reply.headers["x-pointsman-reason"] for reply in replies} == {"adapter_missing"}
            retries = (await world.metrics()).total("retries_total", reason="connect")
            assert retries <= 1 if probed else retries >= 5  # where it is known to be down it is not even tried

            explicit = await world.ask(model="technical-lora")
            assert (explicit.status, explicit.json["error"]["code"]) == (502, "upstream_unreachable")

            back = LoraVllm(port=fake.port)
            await other.enter_async_context(run_fake_vllm(back))
            if probed:
                await until(world.service.daemon, "endpoint_reachable", 1, endpoint="other")
            assert (await world.ask()).json["model"] == "technical-lora"


async def test_where_every_endpoint_is_down_the_adapter_is_not_given_up(tmp_path: Path) -> None:
    """A guess that may fail, and no other answer for a blip of the only vLLM."""
    async with run_world(tmp_path, adapters={"poll_interval_ms": NEVER}, relay={"health_interval_ms": 20}) as world:
        world.vllm.steps["/health"] = ill
        await until(world.service.daemon, "endpoint_reachable", 0, endpoint="vllm0")
        assert (await world.ask()).json["model"] == "technical-lora"
