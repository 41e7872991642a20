"""What is done about adapters that are not there: who answers instead, when vLLM is asked again, what is loaded.

The faults are those that a real vLLM does not show on demand; what it shows is in test_adapters_vllm.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml
from aiohttp import web

from support.daemon import run_daemon
from support.fake_vllm import run_fake_vllm
from support.lora_vllm import BASE, LoraVllm, refusal
from support.metrics import Metrics, scrape, until
from support.process import eventually
from support.service import CHAT, MEDICAL, TECHNICAL, Reply, Service, chat, shipped_config
from support.two_sides import put, reload

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEVER = 600_000
SOON: Any = {"poll_interval_ms": 50}
LOAD: Any = {"poll_interval_ms": 50, "load": True}
TECHNICAL_PATH = {"technical-lora": "/srv/technical"}


@dataclass(frozen=True)
class World:
    """A daemon, and the vLLMs behind it."""

    service: Service
    vllms: tuple[LoraVllm, ...]

    @property
    def vllm(self) -> LoraVllm:
        return self.vllms[0]

    async def ask(self, text: str = TECHNICAL, path: str = CHAT, **fields: Any) -> Reply:
        return await self.service.post(path, chat(text) | fields)

    async def metrics(self) -> Metrics:
        return await scrape(self.service.daemon)

    async def known(self) -> None:
        """Wait until every vLLM said what it serves, and make it forget what it was asked."""
        for endpoint in range(len(self.vllms)):
            await self.service.daemon.logged("endpoint", endpoint=self.name(endpoint))
            self.vllms[endpoint].paths.clear()

    def name(self, endpoint: int = 0) -> str:
        return f"vllm{endpoint}"

    async def adapters(self, endpoint: int = 0) -> dict[str, Any]:
        """The endpoint's entry in `GET /adapters`."""
        reply = await self.service.get("/adapters", admin=True)
        assert reply.status == 200
        found: dict[str, Any] = reply.json[endpoint]
        assert found["endpoint"] == self.name(endpoint)
        return found

    async def state(self, adapter: str = "technical-lora", endpoint: int = 0) -> Any:
        """The adapter's entry there."""
        (found,) = [one for one in (await self.adapters(endpoint))["adapters"] if one["name"] == adapter]
        return found

    async def reaches(self, state: str, adapter: str = "technical-lora", *, within_s: float = 10.0) -> Any:
        """Wait for a state of an adapter; its entry."""
        found: Any = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while (found := await self.state(adapter))["state"] != state:  # noqa: ASYNC110 - it is another process
                    await asyncio.sleep(0.01)
        assert found["state"] == state, found
        return found

    async def change(self, verb: str, body: Any) -> Reply:
        async with self.service.http.post(
            f"{self.service.daemon.admin_url}/adapters/{verb}",
            data=body if isinstance(body, bytes) else json.dumps(body),
        ) as answer:
            return Reply(answer.status, answer.headers, await answer.read())

    async def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`pointsman adapters`; beside the loop, which the fake vLLMs need."""
        command = [sys.executable, "-m", "pointsman", "adapters", *arguments]
        command += ["--config", str(self.service.daemon.config)]
        return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, timeout=60)


@contextlib.asynccontextmanager
async def run_world(
    folder: Path,
    *vllms: LoraVllm,
    adapters: Mapping[str, Any] = SOON,
    paths: Mapping[str, str] | None = None,
    change: Any = None,
    known: bool = True,
    **options: Mapping[str, Any],
) -> AsyncIterator[World]:
    """The shipped config in front of these vLLMs; `paths` are those of its adapters, `change` may edit it."""
    async with contextlib.AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(run_fake_vllm(vllm)) for vllm in vllms or (LoraVllm(),)]
        config = shipped_config(0)
        config["vllm_endpoints"] = [
            {"name": f"vllm{number}", "address": "127.0.0.1", "port": server.port}
            for number, server in enumerate(servers)
        ]
        for model in config["model_config"].values():
            model.pop("preferred_endpoints", None)
            for lora in model["loras"]:
                if lora["name"] in (paths or {}):
                    lora["path"] = (paths or {})[lora["name"]]
        config["pointsman"] = {"classifier": {"threads": 1}, "adapters": dict(adapters), **options}
        if change is not None:
            change(config)
        daemon = await stack.enter_async_context(run_daemon(config, folder))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        fakes = tuple(server for server in servers if isinstance(server, LoraVllm))
        world = World(Service(daemon, fakes[0], http), fakes)
        if known:
            await world.known()
        yield world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    never: Any = {"poll_interval_ms": NEVER}
    async with run_world(tmp_path_factory.mktemp("quiet"), adapters=never, paths=TECHNICAL_PATH) as world:
        yield world


@pytest_asyncio.fixture(loop_scope="module")
async def quiet(shared: World) -> World:
    """One vLLM, which serves all adapters and is asked what it serves only where there is a reason to."""
    shared.vllm.reset()
    await shared.change("load", {"name": "technical-lora"})  # so that no failure of the test before is remembered
    shared.vllm.paths.clear()
    return shared


async def ill(_: web.Request, __: bytes) -> web.StreamResponse:
    return web.Response(status=500)


# --- a 404 for an adapter that the client did not ask for ---------------------------------------------------------


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


async def test_such_a_404_is_counted_and_logged_and_vllm_is_asked_at_once(quiet: World) -> None:
    quiet.vllm.listed.remove("technical-lora")
    before = (await quiet.metrics()).total("retries_total", reason="adapter")
    await quiet.service.post(CHAT, chat(), {"X-Request-Id": "told"})

    line = await quiet.service.daemon.logged("routing_decision", request_id="told")
    assert (line["selected_model"], line["reason"], line["status"]) == (BASE, "adapter_missing", 200)
    assert line["retried"] == [{"endpoint": "vllm0", "why": "adapter", "proof": "vLLM does not know technical-lora"}]
    assert (await quiet.metrics()).total("retries_total", reason="adapter") == before + 1
    await quiet.service.daemon.logged("endpoint", endpoint="vllm0", state=f"serves {BASE}, medical-lora, legal-lora")

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
        await asyncio.wait_for(left.wait(), 10)

        left.clear()
        leaves = asyncio.create_task(world.ask())
        await eventually(lambda: len(world.vllm.paths) == 2, "it is asked")
        leaves.cancel()
        await asyncio.wait_for(left.wait(), 10)


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


# --- an adapter whose endpoint is down ----------------------------------------------------------------------------


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


# --- when vLLM is asked what it serves ----------------------------------------------------------------------------


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
    ("key", "told"),
    [
        (None, "put it in a file and name that in pointsman.relay.api_key_file"),
        ("wrong", "refuses the key in pointsman.relay.api_key_file"),
    ],
)
async def test_a_401_says_which_key_is_missing_and_where_it_belongs(tmp_path: Path, key: str | None, told: str) -> None:
    vllm = LoraVllm()

    async def unauthorized(request: web.Request, _: bytes) -> web.StreamResponse:
        assert request.headers.get("Authorization") == (key and f"Bearer {key}")
        return web.json_response({"error": "Unauthorized"}, status=401)

    (tmp_path / "key").write_text(key or "")
    options: Any = {"relay": {"api_key_file": str(tmp_path / "key")}} if key else {}
    async with run_world(tmp_path, vllm, known=False, **options) as world:
        vllm.steps["/v1/models"] = unauthorized
        found = await world.adapters()
        assert told in found["error"]
        assert "--api-key" in found["error"]
        await world.service.daemon.logged("endpoint", endpoint="vllm0", state=f"models unknown: {found['error']}")
        ready = await world.service.get("/ready")
        assert (ready.status, ready.json["error"]["code"]) == (503, "not_ready")
        assert told in (await world.cli()).stdout


# --- loading ------------------------------------------------------------------------------------------------------

LOADED = ["/v1/load_lora_adapter technical-lora", "/v1/completions technical-lora"]


def without(*names: str) -> LoraVllm:
    """A vLLM without these adapters."""
    vllm = LoraVllm()
    for name in names:
        vllm.listed.remove(name)
    return vllm


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
        await asyncio.wait_for(reached.wait(), 10)
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


RANK = "Call to add_lora method failed: Worker failed with error 'LoRA rank 64 is greater than max_lora_rank 16.'"
CLASH = "The lora adapter 'x' conflicts with a served base model."
NOWHERE = "Loading lora x failed: No adapter found for <path>"
KEY = "the key of vLLM's --api-key; put it in a file and name that in pointsman.relay.api_key_file"


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        pytest.param(500, error(RANK, 500, "InternalServerError"), RANK, id="the engine refuses it"),
        pytest.param(404, error(NOWHERE, 404, "NotFoundError"), NOWHERE, id="no such path"),
        pytest.param(400, error(CLASH, 400, "InvalidUserInput"), CLASH, id="a base's name"),
        pytest.param(
            404,
            b'{"detail":"Not Found"}',
            "vLLM has runtime loading switched off; start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True",
            id="switched off",
        ),
        pytest.param(401, b'{"error":"Unauthorized"}', f"endpoint vllm0 wants {KEY}", id="no key"),
        pytest.param(502, b"", "vLLM answers with status 502", id="nothing"),
        pytest.param(503, b"\x1b[2Jbusy\nnow", "?[2Jbusy now", id="plain text, unfit for a terminal"),
        pytest.param(500, b'{"error":' + b"[" * 5000, '{"error":' + "[" * 291, id="too deep, too long"),
        pytest.param(
            200, b"Success: ...", "vLLM reports it as loaded but does not list it in `/v1/models`", id="a lie"
        ),
    ],
)
async def test_a_failure_is_told_in_vllms_words(quiet: World, status: int, body: bytes, told: str) -> None:
    quiet.vllm.listed.remove("technical-lora")

    async def fail(_: web.Request, __: bytes) -> web.StreamResponse:
        return web.Response(status=status, body=body)

    quiet.vllm.steps["/v1/load_lora_adapter"] = fail
    reply = await quiet.change("load", {"name": "technical-lora"})

    assert (reply.status, reply.json["endpoints"]) == (502, {"vllm0": told})
    found = await quiet.state()
    assert (found["state"], found["error"], found["retry_in_s"]) == ("failed", told, None)
    assert (await quiet.ask()).json["model"] == BASE


async def test_what_is_loaded_already_is_well(quiet: World) -> None:
    """By somebody else, a moment ago."""
    quiet.vllm.listed.remove("technical-lora")

    async def twice(_: web.Request, body: bytes) -> web.StreamResponse:
        quiet.vllm.load(json.loads(body)["lora_name"])
        return quiet.vllm.load(json.loads(body)["lora_name"])

    quiet.vllm.steps["/v1/load_lora_adapter"] = twice
    assert (await quiet.change("load", {"name": "technical-lora"})).status == 200
    assert (await quiet.state())["state"] == "served"


async def test_an_adapter_that_loads_and_does_not_answer_is_taken_away_again(quiet: World) -> None:
    quiet.vllm.listed.remove("technical-lora")

    async def dead(_: web.Request, __: bytes) -> web.StreamResponse:
        return refusal(500, "InternalServerError", "EngineCore encountered an issue")

    quiet.vllm.steps["/v1/completions"] = dead
    reply = await quiet.change("load", {"name": "technical-lora"})

    told = "it is loaded and does not answer: EngineCore encountered an issue"
    assert (reply.status, reply.json["endpoints"]) == (502, {"vllm0": told})
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


# --- by hand ------------------------------------------------------------------------------------------------------


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
    assert [line.split() for line in shown.stdout.splitlines()] == [
        ["ENDPOINT", "ADAPTER", "BASE", "MODEL", "STATE"],
        ["vllm0", "technical-lora", BASE, "missing"],
        ["vllm0", "medical-lora", BASE, "served"],
        ["vllm0", "legal-lora", BASE, "served"],
        ["vllm0", "stranger", BASE, "served,", "not", "in", "the", "config"],
    ]
    loaded = await quiet.cli("load", "technical-lora")
    assert (loaded.returncode, loaded.stdout) == (0, "vllm0: loaded\n")
    assert json.loads((await quiet.cli("--json")).stdout) == (await quiet.service.get("/adapters", admin=True)).json
    assert (await quiet.state())["state"] == "served"
    unloaded = await quiet.cli("unload", "stranger")
    assert (unloaded.returncode, unloaded.stdout) == (0, "vllm0: unloaded\n")
    assert "stranger" not in quiet.vllm.listed


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("load", "nobody"), "the config has no adapter nobody; add it to the loras of its model"),
        (("load", "legal-lora"), "the config has no path for legal-lora; add `path` beside its name"),
        (("load", BASE), f"the config has no adapter {BASE}"),
        (("unload", "nobody"), "nobody is served nowhere"),
        (("unload", BASE), f"{BASE} is a base model"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_the_reason(
    quiet: World, arguments: tuple[str, str], told: str
) -> None:
    done = await quiet.cli(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr
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
