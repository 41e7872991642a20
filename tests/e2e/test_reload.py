"""A config that changes while the service runs."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from pointsman.classify.manifest import MODEL, TOKENIZER
from support import toy_artifact
from support.config_files import LABELS
from support.daemon import Daemon, run_daemon
from support.fake_vllm import FakeVllm
from support.metrics import scrape
from support.process import eventually
from support.quick_config import quick_config
from support.service import TECHNICAL, chat
from support.two_sides import Load, answer, config, put, reload, url

pytestmark = pytest.mark.asyncio(loop_scope="session")
CLIENTS = 8
OTHER_WORDS = {"javascript": "law", "landlord": "computer science"}


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
    fake_vllm: FakeVllm, tmp_path: Path, reloads: int
) -> None:
    """Each takes another classifier, other categories, adapters, prompts, thresholds, another endpoint and key."""
    fake_vllm.answer = answer
    folders = artifacts(tmp_path)
    configs = {side: config(side, fake_vllm.port, tmp_path, model_id) for side, model_id in folders.items()}
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


# --- what can change, and what cannot ------------------------------------------------------------------------------


async def test_a_faulty_config_changes_nothing_and_all_its_faults_are_told(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    async with run_daemon(quick_config(fake_vllm.port), tmp_path) as daemon, aiohttp.ClientSession() as http:
        put(daemon.config, quick_config(fake_vllm.port) | {"default_model": "unheard-of", "colour": "red"})
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
    fake_vllm: FakeVllm, tmp_path: Path, section: str, option: str, value: Any
) -> None:
    async with run_daemon(quick_config(fake_vllm.port), tmp_path) as daemon:
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


async def test_a_file_that_says_the_same_is_no_new_generation(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    async with run_daemon(quick_config(fake_vllm.port), tmp_path) as daemon:
        daemon.config.write_text(f"# a remark\n{daemon.config.read_text()}")
        answer = (await reload(daemon))[1]

    assert (answer["result"], answer["generation"], answer["changes"]) == ("unchanged", 1, [])


async def test_the_classifier_keeps_what_it_remembers_unless_it_is_another(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    tree = quick_config(fake_vllm.port)
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


# --- what asks for it ----------------------------------------------------------------------------------------------


async def test_a_file_that_is_away_or_faulty_is_looked_at_again(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    tree = quick_config(fake_vllm.port)
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
