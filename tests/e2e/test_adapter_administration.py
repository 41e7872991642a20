"""What an operator can do about adapters by hand: on the admin port and on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.adapter_world import LOAD, TECHNICAL_PATH, World, ill, run_world
from support.lora_vllm import BASE
from support.process import eventually
from support.service import CHAT

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_what_an_operator_unloads_stays_away_until_it_is_loaded_by_hand(tmp_path: Path) -> None:
    async with run_world(tmp_path, adapters=LOAD, paths=TECHNICAL_PATH) as world:
        reply = await world.change("unload", {"name": "technical-lora"})
        assert (reply.status, reply.json["endpoints"]) == (200, {"vllm0": None})
        polls = world.vllm.polls
        await eventually(lambda: world.vllm.polls > polls + 2, "it is polled")
        assert (await world.state())["state"] == "unloaded"
        assert (await world.ask()).headers["x-pointsman-reason"] == "adapter_missing"
        assert world.vllm.paths == ["/v1/unload_lora_adapter technical-lora", f"{CHAT} {BASE}"]

        assert (await world.change("load", {"name": "technical-lora"})).status == 200
        assert (await world.ask()).json["model"] == "technical-lora"


async def test_the_command_line_shows_loads_and_unloads(quiet: World) -> None:
    quiet.vllm.listed[:] = ["medical-lora", "legal-lora", "stranger"]
    shown = await quiet.cli()
    assert shown.returncode == 0
    *rows, note = shown.stdout.splitlines()
    assert note.startswith("unrouted: 1; `pointsman init --add` ")
    assert [row.split() for row in rows] == [
        ["ENDPOINT", "ADAPTER", "BASE", "MODEL", "STATE"],
        ["vllm0", "technical-lora", BASE, "missing"],
        ["vllm0", "medical-lora", BASE, "served"],
        ["vllm0", "legal-lora", BASE, "served"],
        ["vllm0", "stranger", BASE, "served,", "not", "in", "the", "config,", "unrouted"],
    ]
    loaded = await quiet.cli("load", "technical-lora")
    assert (loaded.returncode, loaded.stdout) == (0, "vllm0: loaded\n")
    assert json.loads((await quiet.cli("--json")).stdout) == (await quiet.service.get("/adapters", admin=True)).json
    assert (await quiet.state())["state"] == "served"
    unloaded = await quiet.cli("unload", "stranger")
    assert (unloaded.returncode, unloaded.stdout) == (0, "vllm0: unloaded\n")
    assert "stranger" not in quiet.vllm.listed
    again = await quiet.cli("load", "stranger")
    assert (again.returncode, again.stdout) == (0, "vllm0: loaded\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("load", "nobody"), "the config has no adapter nobody; add it to the loras of its model"),
        (("load", "legal-lora"), "the config has no path for legal-lora; add `path` next to its name"),
        (("load", BASE), f"the config has no adapter {BASE}"),
        (("unload", "nobody"), "nobody is served nowhere"),
        (("unload", BASE), f"{BASE} is a base model"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_the_reason(
    quiet: World, arguments: tuple[str, str], expected: str
) -> None:
    done = await quiet.cli(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert expected in done.stderr
    assert quiet.vllm.paths == []


async def test_a_load_that_fails_fails_the_command_too(quiet: World) -> None:
    quiet.vllm.listed.remove("technical-lora")
    quiet.vllm.steps["/v1/load_lora_adapter"] = ill
    done = await quiet.cli("load", "technical-lora")
    assert (done.returncode, done.stdout) == (1, "vllm0: vLLM answers with status 500\n")


async def test_a_command_without_a_service_says_so(tmp_path: Path) -> None:
    async with run_world(tmp_path) as world:
        pass
    done = await world.cli()
    assert (done.returncode, done.stdout) == (1, "")
    assert "check that it runs with this config" in done.stderr


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"name": 5}', b'{"name": "\xff"}'])
async def test_a_bad_body_on_the_admin_port_is_a_400(quiet: World, body: bytes) -> None:
    reply = await quiet.change("load", body)
    assert (reply.status, reply.json["error"]["code"]) == (400, "invalid_json")


async def test_adapters_cannot_be_administered_through_the_data_port(quiet: World) -> None:
    for path in ("/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/adapters", "/adapters/load"):
        reply = await quiet.service.post(path, {"name": "x", "lora_name": "x", "lora_path": "/x"})
        assert (path, reply.status) == (path, 404)
    assert (await quiet.service.get("/adapters")).status == 404
    assert quiet.vllm.paths == []
