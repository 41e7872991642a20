"""Who answers instead of an adapter that vLLM does not know, or whose endpoint is down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.adapter_world import NEVER, World, ill, run_world
from support.lora_vllm import BASE
from support.metrics import until
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


async def test_a_relayed_path_falls_back_to_the_base_too(tmp_path: Path) -> None:
    """The auto name stands for the default model there, which may be an adapter."""

    def adapter_as_default(config: Any) -> None:
        config["default_model"] = "legal-lora"

    async with run_world(tmp_path, adapters={"poll_interval_ms": NEVER}, change=adapter_as_default) as world:
        world.vllm.listed.remove("legal-lora")
        reply = await world.service.post("/tokenize", {"model": "auto", "prompt": "hello"})

        assert (reply.status, reply.json["model"]) == (200, BASE)


# --- an adapter whose endpoint is down ----------------------------------------


async def test_where_every_endpoint_is_down_the_adapter_is_not_given_up(tmp_path: Path) -> None:
    """A guess that may fail, and no other answer for a blip of the only vLLM."""
    async with run_world(tmp_path, adapters={"poll_interval_ms": NEVER}, relay={"health_interval_ms": 20}) as world:
        world.vllm.steps["/health"] = ill
        await until(world.service.daemon, "endpoint_reachable", 0, endpoint="vllm0")
        assert (await world.ask()).json["model"] == "technical-lora"
