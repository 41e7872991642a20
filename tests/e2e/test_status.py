"""What a running service tells of itself and of a request, on the admin port and on the command line."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from pointsman.api.admin import MAX_ADMIN_BODY_BYTES
from support.adapter_world import SOON, World, run_world, without
from support.lora_vllm import BASE
from support.service import CHAT, MEDICAL, TECHNICAL, chat

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


async def cli(world: World, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "pointsman", *arguments, "--config", str(world.service.daemon.config)]
    return await asyncio.to_thread(subprocess.run, command, input=stdin, capture_output=True, check=False, timeout=60)


async def explain(world: World, *arguments: str, stdin: bytes = b"") -> Any:
    done = await cli(world, "explain", *arguments, "--json", stdin=stdin)
    assert (done.returncode, done.stderr) == (0, b"")
    return json.loads(done.stdout)


def toolless(config: Any) -> None:
    config["pointsman"]["adapters"]["tools"] = {"medical-lora": False}
    for category in config["categories"]:
        category["system_prompt_mode"] = "replace"


async def test_explain_tells_what_the_service_would_do_and_status_what_it_did(tmp_path: Path) -> None:
    """The service knows what is served and what conversations are about; the config alone does not."""
    async with run_world(tmp_path, without("technical-lora"), adapters=SOON, change=toolless) as world:
        online, offline = await explain(world, TECHNICAL), await explain(world, TECHNICAL, "--offline")
        assert (online["decision"]["model"], online["decision"]["reason"]) == (BASE, "adapter_missing")
        assert (offline["decision"]["model"], offline["decision"]["reason"]) == ("technical-lora", "classified")
        assert online["service"] == world.service.daemon.admin_url.removeprefix("http://")
        assert offline["service"] is None

        turns = chat(MEDICAL)["messages"]
        follow_up = [*turns, {"role": "assistant", "content": "Salt."}, {"role": "user", "content": "Thanks!"}]
        request = json.dumps(chat() | {"messages": follow_up, "tools": TOOLS}).encode()
        assert (await explain(world, MEDICAL))["decision"]["category"] == "medical"
        before = await explain(world, "--request", "-", stdin=request)
        assert not before["conversation"]["known"], "the service remembers what it was only asked to explain"
        assert (await world.ask(MEDICAL)).json["model"] == "medical-lora"
        after = await explain(world, "--request", "-", stdin=request)
        assert (after["decision"]["category"], after["decision"]["model"]) == ("medical", BASE)
        assert (after["conversation"]["outcome"], after["conversation"]["category"]) == ("kept", "medical")
        assert (after["decision"]["tools"], after["decision"]["system_prompt"]) == (True, "insert")
        assert world.vllm.paths == [f"{CHAT} medical-lora"]

        carrying = await world.ask(MEDICAL, tools=TOOLS)
        assert (carrying.json["model"], carrying.headers["x-pointsman-reason"]) == (BASE, "adapter_without_tools")
        line = await world.service.daemon.logged("routing_decision", reason="adapter_without_tools")
        assert (line["selected_model"], line["system_prompt"]) == (BASE, "insert")

        answer = (await world.service.get("/status", admin=True)).json
        (endpoint,) = answer["endpoints"]
        assert (endpoint["endpoint"], endpoint["up"], endpoint["breaker"], endpoint["in_flight"]) == (
            *("vllm0", True, "closed"),
            0,
        )
        states = {one["name"]: one["state"] for one in endpoint["adapters"]}
        assert states == {"technical-lora": "missing", "medical-lora": "served", "legal-lora": "served"}
        assert (answer["classifier"]["artifact"], answer["classifier"]["precision"]) == ("toy", "fp32")
        assert (answer["trouble"], answer["config"]["reload_failed"]) == (None, None)
        names = {one["category"]: (one["threshold"], one["origin"]) for one in answer["thresholds"]}
        assert names["medical"] == (0.5, "category_model.threshold")
        assert answer["thresholds"][0]["reach"]["whole"] == 0, "the toy has no calibration rows"
        assert answer["traffic"]["decisions"] == [
            {"category": "medical", "reason": "classified", "requests": 1},
            {"category": "medical", "reason": "adapter_without_tools", "requests": 1},
        ]
        # What was explained before is no traffic.
        assert (answer["traffic"]["requests"], answer["traffic"]["errors"]) == (2, [])

        shown = await cli(world, "status")
        lines = shown.stdout.decode().splitlines()
        assert (shown.returncode, shown.stderr) == (0, b"")
        assert len(lines) <= 23
        assert max(map(len, lines)) <= 80
        assert "  technical-lora (missing), medical-lora, legal-lora" in lines
        as_json = json.loads((await cli(world, "status", "--json")).stdout)
        assert as_json.keys() == answer.keys()


async def test_neither_is_on_the_data_port_and_bodies_are_bounded(tmp_path: Path) -> None:
    async with run_world(tmp_path) as world:
        assert (await world.service.get("/status")).status == 404
        assert (await world.service.post("/route", chat())).status == 404
        for body, status in ((b"x" * (MAX_ADMIN_BODY_BYTES + 1), 413), (b"[]", 400), (b"\xff", 400)):
            async with world.service.http.post(
                f"{world.service.daemon.admin_url}/route",
                data=io.BytesIO(body),
                headers={"Content-Type": "application/json"},
            ) as answer:
                assert answer.status == status
    done = await cli(world, "status")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"check that it runs with this config" in done.stderr
