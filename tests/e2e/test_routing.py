"""Where requests go, what changes in them on the way, and how that is told."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from support.daemon import run_daemon
from support.process import reserve_port
from support.quick_config import quick_config
from support.service import CHAT, MEDICAL, TECHNICAL, Service, chat

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(("text", "model"), [(TECHNICAL, "technical-lora"), (MEDICAL, "medical-lora")])
async def test_the_guides_questions_reach_their_adapters(service: Service, text: str, model: str) -> None:
    reply = await service.post(CHAT, chat(text))

    assert (reply.status, reply.json["model"]) == (200, model)
    assert reply.headers["x-vsr-selected-model"] == model
    assert reply.headers["x-vsr-selected-category"] == model.removesuffix("-lora")
    assert reply.headers["x-pointsman-reason"] == "classified"
    assert float(reply.headers["x-pointsman-confidence"]) >= 0.6


@pytest.mark.parametrize("name", ["MoM", "auto", "", None])
async def test_the_auto_names_and_no_name_are_routed(service: Service, name: str | None) -> None:
    reply = await service.post(CHAT, chat() | {"model": name})

    assert reply.headers["x-vsr-selected-model"] == "technical-lora"


@pytest.mark.parametrize("name", ["legal-lora", "llama2-7b", "nobody-has-this"])
async def test_an_explicit_model_is_forwarded_byte_for_byte(service: Service, name: str) -> None:
    body = (
        b'{ "model" : "%s",\n "messages":[{"role":"user","content":"caf\\u00e9"}], "temperature": 1.50e0 }'
        % name.encode()
    )

    reply = await service.post(CHAT, body)

    assert service.vllm.last.body == body
    assert reply.headers["x-pointsman-reason"] == "explicit_model"


async def test_only_the_declared_edits_differ_in_a_routed_body(service: Service) -> None:
    """`test_field` is semantic-router's own check, sent and never looked at there."""
    rest = b'"temperature":1.50e0,"top_k":5,"seed":12345678901234567890,"test_field":"should_be_preserved\\u00e9"'
    body = b'{"model":"MoM","messages":[{"role":"user","content":"Explain async/await in JavaScript"}],' + rest + b"}"

    await service.post(CHAT, body)

    prompt = b'{"role":"system","content":"You are an expert software engineer."},'
    expected = body.replace(b'"MoM"', b'"technical-lora"').replace(b'"messages":[', b'"messages":[' + prompt)
    assert service.vllm.last.body == expected


async def test_the_injected_system_prompt_is_told(service: Service) -> None:
    routed = await service.post(CHAT, chat())
    explicit = await service.post(CHAT, chat(model="technical-lora"))

    assert routed.headers["x-vsr-injected-system-prompt"] == "true"
    assert "x-vsr-injected-system-prompt" not in explicit.headers


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"prompt": TECHNICAL}),
        ("/v1/responses", {"input": TECHNICAL}),
        ("/v1/responses", {"input": [{"role": "user", "content": [{"type": "input_text", "text": TECHNICAL}]}]}),
        ("/v1/messages", {"messages": [{"role": "user", "content": TECHNICAL}], "max_tokens": 8}),
    ],
)
async def test_every_form_of_request_is_routed(service: Service, path: str, body: dict[str, object]) -> None:
    reply = await service.post(path, {"model": "MoM"} | body)

    assert reply.headers["x-vsr-selected-model"] == "technical-lora"
    assert (service.vllm.last.target, service.vllm.last.json["model"]) == (path, "technical-lora")


async def test_a_trailing_slash_is_the_same_path(service: Service) -> None:
    """vLLM would redirect it to its own address."""
    reply = await service.post(CHAT + "/", chat())

    assert (reply.status, service.vllm.last.target) == (200, CHAT)


async def test_the_query_string_is_forwarded_as_it_came(service: Service) -> None:
    await service.post(CHAT + "?a=%2F&b=%C3%A9", chat())

    assert service.vllm.last.target == CHAT + "?a=%2F&b=%C3%A9"


async def test_server_timing_names_every_phase_of_a_routed_request(service: Service) -> None:
    reply = await service.post(CHAT, chat("a text that no other test sends"))

    phases = [item.partition(";dur=") for item in reply.headers["Server-Timing"].split(", ")]
    assert [name for name, _, _ in phases] == ["queue", "tokenize", "infer", "decide", "upstream"]
    assert all(float(milliseconds) >= 0 for _, _, milliseconds in phases)


async def test_the_dry_run_tells_everything_and_forwards_nothing(service: Service) -> None:
    reply = await service.post("/v1/route", chat())

    answer = reply.json
    assert answer["decision"]["model"] == "technical-lora"
    assert answer["decision"]["endpoints"] == ["vllm-primary"]
    assert set(answer["categories"]) == {"technical", "medical", "legal", "general"}
    assert len(answer["labels"]) == 14
    assert sum(answer["labels"].values()) == pytest.approx(1, abs=1e-4)
    assert answer["edits"][0] == {"field": "model", "from": '"MoM"', "to": '"technical-lora"'}
    assert service.vllm.received == []


async def test_the_dry_run_takes_a_prompt_or_an_input_too(service: Service) -> None:
    replies = [await service.post("/v1/route", body) for body in ({"prompt": TECHNICAL}, {"input": TECHNICAL})]

    assert [reply.json["decision"]["category"] for reply in replies] == ["technical", "technical"]


async def test_models_lists_the_auto_name_the_base_and_live_adapters(service: Service) -> None:
    data = (await service.get("/v1/models")).json["data"]

    assert [(card["id"], card["parent"]) for card in data] == [
        ("MoM", None),
        ("llama2-7b", None),
        ("technical-lora", "llama2-7b"),
        ("medical-lora", "llama2-7b"),
        ("legal-lora", "llama2-7b"),
    ]


async def test_models_lists_the_configs_names_while_no_vllm_has_answered(tmp_path: Path) -> None:
    async with (
        run_daemon(quick_config(reserve_port()), tmp_path) as daemon,
        aiohttp.ClientSession() as http,
        http.get(daemon.base_url + "/v1/models") as response,
    ):
        data = (await response.json())["data"]

    assert [card["id"] for card in data] == ["MoM", "llama2-7b", "technical-lora", "medical-lora", "legal-lora"]


@pytest.mark.parametrize(("use", "expected"), [(True, "on"), (False, "off")])
async def test_reasoning_is_told(service: Service, tmp_path: Path, use: bool, expected: str) -> None:
    config = quick_config(service.vllm.port)
    config["model_config"]["llama2-7b"]["reasoning_family"] = "qwen3"
    for category in config["categories"]:
        category["model_scores"][0]["use_reasoning"] = use
    async with (
        run_daemon(config, tmp_path) as daemon,
        aiohttp.ClientSession() as http,
        http.post(daemon.base_url + CHAT, json=chat()) as response,
    ):
        assert response.headers["x-vsr-selected-reasoning"] == expected
    assert service.vllm.last.json["chat_template_kwargs"] == {"enable_thinking": use}


async def test_health_ready_and_config_answer(service: Service) -> None:
    assert [(await service.get(path)).status for path in ("/health", "/ready")] == [200, 200]
    admin = [await service.get(path, admin=True) for path in ("/health", "/ready", "/config")]
    assert [reply.status for reply in admin] == [200, 200, 200]
    assert admin[2].json["config"]["default_model"] == "llama2-7b"


async def test_admin_paths_are_not_on_the_data_port(service: Service) -> None:
    assert [(await service.get(path)).status for path in ("/metrics", "/config")] == [404, 404]
