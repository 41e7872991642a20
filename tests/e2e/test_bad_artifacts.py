"""Artifacts and configs that must not serve, given to a running daemon and to one that starts."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml

from support import toy_artifact
from support.config_files import LABELS
from support.daemon import Daemon, run_daemon
from support.process import PATIENCE_SECONDS, eventually
from support.service import chat, shipped_config
from support.two_sides import put, reload, url

if TYPE_CHECKING:
    from support.fake_vllm import FakeVllm

pytestmark = pytest.mark.asyncio(loop_scope="session")
LIMIT_SECONDS = 90.0


def config(port: int, model_id: Path, **classifier: Any) -> dict[str, Any]:
    tree = shipped_config(port)
    tree["classifier"]["category_model"]["model_id"] = str(model_id)
    return tree | {"pointsman": {"classifier": {"threads": 2, **classifier}}}


def wrong_answer(folder: Path) -> None:
    probabilities = [float(label == "law") for label in LABELS]
    toy_artifact.build(folder, known_answers=[{"text": "python", "probabilities": probabilities}])


def pipe(folder: Path) -> None:
    path = toy_artifact.build(folder) / "model.onnx"
    path.unlink()
    os.mkfifo(path)


def enormous(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**30)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "NaN": (
        lambda folder: toy_artifact.build(folder, {"model.onnx": toy_artifact.adding_model(float("nan"))}),
        "returns NaN or infinity",
    ),
    "temperature": (lambda folder: toy_artifact.build(folder, temperature=1e-300), "temperature is 1e-300"),
    "max_tokens": (lambda folder: toy_artifact.build(folder, max_tokens=-5), "max_tokens is -5"),
    "endless": (
        lambda folder: toy_artifact.build(folder, {"model.onnx": toy_artifact.endless_model()}),
        "within 1 s",
    ),
    "wrong answer": (wrong_answer, "gives 'python' the probability"),
    "pipe": (pipe, "it is a pipe or a device"),
    "graph": (lambda folder: toy_artifact.build(folder, {"model.onnx": os.urandom(4096)}), "cannot load it"),
}


async def test_a_bad_artifact_is_a_422_with_its_reason_and_the_former_one_goes_on(
    fake_vllm: FakeVllm, tmp_path: Path
) -> None:
    good = toy_artifact.build_measured(tmp_path / "good")
    async with run_daemon(config(fake_vllm.port, good), tmp_path) as daemon, asyncio.timeout(LIMIT_SECONDS * len(BAD)):
        for name, (build, reason) in BAD.items():
            build(tmp_path / name)
            limit_ms = 1000 if name == "endless" else 60_000
            put(daemon.config, config(fake_vllm.port, tmp_path / name, load_timeout_ms=limit_ms))
            status, refused = await reload(daemon)
            assert (status, refused["error"]["type"]) == (422, "invalid_config"), name
            assert reason in refused["error"]["message"]
            assert await selected(daemon) == "technical-lora"
        put(daemon.config, config(fake_vllm.port, toy_artifact.build_measured(tmp_path / "next", temperature=2.0)))
        assert (await reload(daemon))[1]["classifier"] == "loaded"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "it is a pipe or a device"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a pipe or a device"),
        (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
        (enormous, "larger than 1,048,576 bytes"),
    ],
    ids=["pipe", "device", "loop", "enormous"],
)
async def test_a_config_file_that_is_none_is_a_422(
    fake_vllm: FakeVllm, tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    good = toy_artifact.build_measured(tmp_path / "good")
    async with run_daemon(config(fake_vllm.port, good), tmp_path) as daemon, asyncio.timeout(LIMIT_SECONDS):
        daemon.config.unlink()
        make(daemon.config)
        status, refused = await reload(daemon)
        assert (status, refused["error"]["type"]) == (422, "invalid_config")
        assert reason in refused["error"]["message"]
        assert await selected(daemon) == "technical-lora"


async def test_sigterm_does_not_wait_for_a_reload_that_hangs(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    good = toy_artifact.build_measured(tmp_path / "good")
    endless = toy_artifact.build(tmp_path / "endless", {"model.onnx": toy_artifact.endless_model()})
    async with run_daemon(config(fake_vllm.port, good), tmp_path) as daemon, asyncio.timeout(LIMIT_SECONDS):
        put(daemon.config, config(fake_vllm.port, endless, load_timeout_ms=600_000))
        asked = asyncio.create_task(reload(daemon))
        await until_loading(daemon.process.pid)
        daemon.process.terminate()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await daemon.process.wait()
        await asyncio.wait([asked])
        assert asked.exception() is not None or asked.result()[0] == 503, "it was told that the reload succeeded"


async def test_a_start_with_an_endless_graph_ends_with_one_clear_line(fake_vllm: FakeVllm, tmp_path: Path) -> None:
    endless = toy_artifact.build(tmp_path / "endless", {"model.onnx": toy_artifact.endless_model()})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config(fake_vllm.port, endless, load_timeout_ms=1000)))
    command = [sys.executable, "-m", "pointsman", "serve", "--config", str(tmp_path / "config.yaml")]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"pointsman: {endless}: ")
    assert "within 1 s" in done.stderr
    assert done.stderr.count("\n") == 1


async def selected(daemon: Daemon) -> str:
    async with aiohttp.ClientSession() as http, http.post(url(daemon), json=chat("javascript")) as response:
        return response.headers["x-vsr-selected-model"]


async def until_loading(pid: int) -> None:
    """Poll until another thread than the event loop's computes, as one that loads an artifact does."""

    def computes(task: Path) -> bool:
        try:
            return task.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "R"
        except (FileNotFoundError, ProcessLookupError):  # it has ended since it was listed
            return False

    def any_computes() -> bool:
        return any(task.name != str(pid) and computes(task) for task in Path(f"/proc/{pid}/task").iterdir())

    await eventually(any_computes, "an artifact is loaded")
