"""A config that changes while the service runs."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml
from aiohttp import web

from pointsman.classify.manifest import MODEL, TOKENIZER
from support import toy_artifact
from support.config_files import LABELS
from support.daemon import Daemon, run_daemon
from support.fake_vllm import FakeVllm, event, run_fake_vllm
from support.metrics import scrape, until
from support.process import eventually
from support.quick_config import quick_config
from support.raw_client import connect, post
from support.service import TECHNICAL, chat
from support.two_sides import Load, answer, config, put, reload, url

pytestmark = pytest.mark.asyncio(loop_scope="session")
CLIENTS = 8
OTHER_WORDS = {"javascript": "law", "landlord": "computer science"}


@pytest_asyncio.fixture(loop_scope="session")
async def upstream() -> AsyncIterator[FakeVllm]:
    async with run_fake_vllm() as fake:
        yield fake


def artifacts(folder: Path) -> dict[str, str]:
    """For side `b` one that takes for law what `a` takes for computer science, and the other way round."""
    made = {}
    for side, other in {"a": {}, "b": OTHER_WORDS}.items():
        words = {**toy_artifact.WORDS, **other}
        contents = {MODEL: toy_artifact.model(LABELS, words), TOKENIZER: toy_artifact.tokenizer(words)}
        made[side] = str(toy_artifact.build_measured(folder / f"toy-{side}", contents))
    return made


@pytest.mark.parametrize("reloads", [20, pytest.param(50, marks=pytest.mark.nightly)])
async def test_changes_under_load_drop_nothing_and_mix_nothing(
    upstream: FakeVllm, tmp_path: Path, reloads: int
) -> None:
    """Each takes another classifier, other categories, adapters, prompts, thresholds, another endpoint and key."""
    upstream.answer = answer
    folders = artifacts(tmp_path)
    configs = {side: config(side, upstream.port, tmp_path, model_id) for side, model_id in folders.items()}
    async with run_daemon(configs["a"], tmp_path) as daemon, asyncio.TaskGroup() as group:
        load = Load(url(daemon), "javascript", "javascript landlord")
        group.create_task(load.run(CLIENTS))
        for number in range(reloads):
            side = "ba"[number % 2]
            put(daemon.config, configs[side])
            if number % 20 == 10:
                pass  # the file alone is enough
            elif number % 2:
                daemon.process.send_signal(signal.SIGHUP)
            else:
                assert (await reload(daemon))[0] == 200
            await daemon.logged("reload", generation=number + 2, result="applied", timeout_s=30)
            before = len(load.sides)

            def answered(before: int = before, side: str = side) -> bool:
                return side in load.sides[before:]

            await eventually(answered, f"a request by {side}", timeout_s=30)
        load.over.set()

    assert load.mixed == []
    assert load.dropped == []
    assert min(Counter(load.sides).values()) > reloads


async def test_a_request_keeps_to_the_config_that_it_began_with(upstream: FakeVllm, tmp_path: Path) -> None:
    """Its body comes in two halves, with a reload between them."""
    upstream.answer = answer
    folders = artifacts(tmp_path)
    configs = {side: config(side, upstream.port, tmp_path, model_id) for side, model_id in folders.items()}
    whole = post(chat("javascript"))
    async with run_daemon(configs["a"], tmp_path) as daemon, connect(daemon.base_url) as client:
        client.send(whole[:-10])
        await until(daemon, "bodies_arriving", 1)
        put(daemon.config, configs["b"])
        assert (await reload(daemon))[1]["result"] == "applied"
        client.send(whole[-10:])
        got = await client.answer()

    assert got.json == ["a", "a", "technical-a", "You are technical, said a"]


# --- what can change, and what cannot ------------------------------------------------------------------------------


async def test_a_faulty_config_changes_nothing_and_all_its_faults_are_told(upstream: FakeVllm, tmp_path: Path) -> None:
    async with run_daemon(quick_config(upstream.port), tmp_path) as daemon, aiohttp.ClientSession() as http:
        put(daemon.config, quick_config(upstream.port) | {"default_model": "unheard-of", "colour": "red"})
        status, refused = await reload(daemon)
        async with http.post(url(daemon), json=chat(TECHNICAL)) as response:
            served = response.status, response.headers["x-vsr-selected-model"]
        metrics = await scrape(daemon)
        line = await daemon.logged("reload", result="failed")

    assert (status, refused["error"]["code"]) == (422, "reload_failed")
    assert {problem["path"] for problem in refused["error"]["problems"]} == {"default_model", "colour"}
    assert all(problem["fix"] in refused["error"]["message"] for problem in refused["error"]["problems"])
    assert all(problem["mend"] == problem["fix"] for problem in refused["error"]["problems"])
    assert all(path in line["error"] for path in ("default_model", "colour"))
    assert served == (200, "technical-lora")
    assert metrics.by("reloads_total", "result") == {"failed": 1}
    assert (metrics.total("config_reload_failed"), metrics.total("config_generation")) == (1, 1)


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [
        pytest.param("relay", "api_key_file", "nowhere", id="a key that cannot be read"),
        pytest.param("log", "texts_file", "nowhere/texts", id="a file that cannot be written"),
    ],
)
async def test_what_the_host_does_not_give_changes_nothing(
    upstream: FakeVllm, tmp_path: Path, section: str, option: str, value: Any
) -> None:
    async with run_daemon(quick_config(upstream.port), tmp_path) as daemon:
        tree = yaml.safe_load(daemon.config.read_text())
        tree["default_model"] = "technical-lora"
        tree["pointsman"].setdefault(section, {})[option] = value
        put(daemon.config, tree)
        status, refused = await reload(daemon)
        shown = await served_config(daemon)

    assert (status, refused["error"]["type"]) == (422, "invalid_config")
    assert option in refused["error"]["message"]
    assert (shown["generation"], shown["config"]["default_model"]) == (1, "llama2-7b")


async def served_config(daemon: Daemon) -> Any:
    async with aiohttp.ClientSession() as http, http.get(daemon.admin_url + "/config") as response:
        return await response.json()


async def test_what_changed_is_told_by_key_and_where_it_listens_waits_for_a_restart(
    upstream: FakeVllm, tmp_path: Path
) -> None:
    async with run_daemon(quick_config(upstream.port), tmp_path) as daemon:
        before = await served_config(daemon)
        tree = quick_config(upstream.port)
        tree["categories"][0]["system_prompt"] = "Be brief."
        tree["pointsman"] = {"server": {"listen": ["127.0.0.1:1"], "max_body_bytes": 2048}}
        put(daemon.config, tree)
        status, answer = await reload(daemon)
        line = await daemon.logged("reload")
        after = await served_config(daemon)
        async with aiohttp.ClientSession() as http, http.post(url(daemon), json=chat("x" * 4096)) as response:
            too_large = response.status

    assert status == 200
    assert (answer["result"], answer["generation"], answer["classifier"]) == ("applied", 2, "kept")
    assert answer["changes"] == [
        {
            "path": "categories[technical].system_prompt",
            "from": "You are an expert software engineer.",
            "to": "Be brief.",
        },
        {"path": "pointsman.server.max_body_bytes", "from": 33554432, "to": 2048},
    ]
    assert answer["needs_restart"] == ["pointsman.server.listen", "pointsman.server.admin_listen"]
    assert (line["changes"], line["needs_restart"]) == (answer["changes"], answer["needs_restart"])
    assert after["config"]["pointsman"]["server"]["listen"] == before["config"]["pointsman"]["server"]["listen"]
    assert after["sha256"] != before["sha256"]
    assert too_large == 413


async def test_a_file_that_says_the_same_is_no_new_generation(upstream: FakeVllm, tmp_path: Path) -> None:
    async with run_daemon(quick_config(upstream.port), tmp_path) as daemon:
        daemon.config.write_text(f"# a remark\n{daemon.config.read_text()}")
        answer = (await reload(daemon))[1]

    assert (answer["result"], answer["generation"], answer["changes"]) == ("unchanged", 1, [])


async def test_a_key_that_was_replaced_is_used_and_not_shown(upstream: FakeVllm, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("first-secret")
    tree = quick_config(upstream.port) | {"pointsman": {"relay": {"api_key_file": str(key)}}}
    async with run_daemon(tree, tmp_path) as daemon, aiohttp.ClientSession() as http:
        key.write_text("second-secret")
        answer = (await reload(daemon))[1]
        async with http.post(url(daemon), json=chat()) as response:
            assert response.status == 200
        (tmp_path / "other").write_text("third-secret")
        tree["pointsman"]["relay"]["api_key_file"] = str(tmp_path / "other")
        put(daemon.config, tree)
        moved = (await reload(daemon))[1]
        log = daemon.log_text()

    assert upstream.last.values("authorization") == ["Bearer second-secret"]
    for one in (answer, moved):
        assert [change["path"] for change in one["changes"]] == ["pointsman.relay.api_key_file"]
    assert "secret" not in log + json.dumps([answer, moved])


async def test_the_classifier_keeps_what_it_remembers_unless_it_is_another(upstream: FakeVllm, tmp_path: Path) -> None:
    tree = quick_config(upstream.port)
    tree["classifier"]["category_model"]["model_id"] = str(toy_artifact.build_measured(tmp_path / "toy"))
    async with run_daemon(tree, tmp_path) as daemon, aiohttp.ClientSession() as http:

        async def source() -> str:
            async with http.post(daemon.base_url + "/v1/route", json=chat("javascript")) as response:
                found: str = (await response.json())["text"]["source"]
                return found

        async def change(**category_model: Any) -> str:
            tree["classifier"]["category_model"] |= category_model
            put(daemon.config, tree)
            status, answer = await reload(daemon)
            assert status == 200, answer
            return str(answer["classifier"])

        sources = [await source(), await source()]
        assert await change(threshold=0.7) == "kept"
        sources.append(await source())
        assert await change(model_id=str(toy_artifact.build_measured(tmp_path / "other", temperature=2.0))) == "loaded"
        sources += [await source(), await source()]
        toy_artifact.build(tmp_path / "other", temperature=3.0)  # in its place, while the config stays the same
        status, answer = await reload(daemon)
        sources.append(await source())
        metrics = await scrape(daemon)

    assert sources == ["run", "hit", "hit", "run", "hit", "run"]
    counted = [metrics.total(f"classifier_cache_{name}_total") for name in ("misses", "hits")]
    assert counted == [1, 0], "another classifier's counters begin at 0"
    assert (status, answer["classifier"]) == (200, "loaded")


async def test_a_damaged_classifier_changes_nothing(upstream: FakeVllm, tmp_path: Path) -> None:
    async with run_daemon(quick_config(upstream.port), tmp_path) as daemon, aiohttp.ClientSession() as http:
        folder = toy_artifact.build(tmp_path / "toy")
        (folder / "model.onnx").write_bytes(b"half of it")
        tree = quick_config(upstream.port)
        tree["classifier"]["category_model"]["model_id"] = str(folder)
        put(daemon.config, tree)
        status, refused = await reload(daemon)
        async with http.post(url(daemon), json=chat(TECHNICAL)) as response:
            reason = response.headers["x-pointsman-reason"]

    assert status == 422
    assert "model.onnx" in refused["error"]["message"]
    assert reason == "classified"


async def test_an_endpoint_that_goes_finishes_its_answers_and_one_that_stays_keeps_its_connections(
    upstream: FakeVllm, tmp_path: Path
) -> None:
    go_on, streaming = asyncio.Event(), asyncio.Event()
    peers: list[Any] = []

    async def slow(request: web.Request, body: bytes) -> web.StreamResponse:
        peers.append(request.transport and request.transport.get_extra_info("peername"))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(event("llama2-7b", "first"))
        if b"stays" in body:
            streaming.set()
            await go_on.wait()
        await response.write(b"data: [DONE]\n\n")
        return response

    upstream.answer = slow

    async def ask(text: str) -> bytes:
        async with http.post(url(daemon), json=chat(text, "llama2-7b", stream=True)) as response:
            return await response.read()

    async with run_fake_vllm() as other:
        tree = quick_config(upstream.port)
        async with run_daemon(tree, tmp_path) as daemon, aiohttp.ClientSession() as http:
            await ask("short")
            tree["default_model"] = "medical-lora"
            put(daemon.config, tree)
            assert (await reload(daemon))[1]["result"] == "applied"
            await ask("short")
            staying = asyncio.create_task(ask("stays"))
            await streaming.wait()
            tree["vllm_endpoints"][0]["port"] = other.port  # another one under the same name
            put(daemon.config, tree)
            assert (await reload(daemon))[1]["result"] == "applied"
            await ask("short")
            go_on.set()
            whole = await staying

    assert whole == event("llama2-7b", "first") + b"data: [DONE]\n\n"
    assert len(set(peers)) == 1
    assert len(peers) == 3
    assert [received.method for received in other.received] == ["POST"]


# --- what asks for it ----------------------------------------------------------------------------------------------


async def test_a_file_whose_link_is_swapped_is_read_anew(upstream: FakeVllm, tmp_path: Path) -> None:
    """As Kubernetes updates a config map: `..data` is a link to a folder, and another takes its place at once."""
    tree = quick_config(upstream.port)
    async with run_daemon(tree, tmp_path) as daemon:
        for name, model in (("one", "llama2-7b"), ("two", "medical-lora")):
            folder = tmp_path / name
            folder.mkdir()
            (folder / "config.yaml").write_bytes(daemon.config.read_bytes())
            put(folder / "config.yaml", tree | {"default_model": model})
        data, swapped = tmp_path / "..data", tmp_path / "..data_tmp"
        data.symlink_to("one")
        daemon.config.unlink()
        daemon.config.symlink_to("..data/config.yaml")
        await daemon.logged("reload", result="unchanged", trigger=["file"], timeout_s=30)
        swapped.symlink_to("two")
        swapped.replace(data)
        line = await daemon.logged("reload", result="applied", trigger=["file"], timeout_s=30)

    assert line["changes"] == [{"path": "default_model", "from": "llama2-7b", "to": "medical-lora"}]


async def test_a_file_that_is_away_or_faulty_is_looked_at_again(upstream: FakeVllm, tmp_path: Path) -> None:
    tree = quick_config(upstream.port)
    async with run_daemon(tree, tmp_path) as daemon:
        good = daemon.config.read_text()
        daemon.config.unlink()
        daemon.config.write_text("categories: [")
        await daemon.logged("reload", result="failed", trigger=["file"], timeout_s=30)
        daemon.config.write_text(good.replace("llama2-7b", "llama3-8b"))
        await daemon.logged("reload", result="applied", trigger=["file"], timeout_s=30)
        metrics = await scrape(daemon)

    assert metrics.by("reloads_total", "result") == {"failed": 1, "applied": 1}
    assert metrics.total("config_reload_failed") == 0
