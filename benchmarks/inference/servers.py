"""Run the servers under test, ours and the peers', each as a process for the duration of a `with` block."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from programs import running, started

from inference.load import get, post
from inference.workplace import HERE, InferenceFolder
from support.process import reserve_port
from support.service import shipped_config

START_TIMEOUT_SECONDS = 180.0  # infinity and optimum import torch first
NO_DEADLINE_MS = 600_000
NOBODY = 9  # a port without an upstream

# infinity's warm-up prints its speed and takes minutes; we warm up before the first window.
INFINITY = ["v2", "--served-model-name", "base", "--device", "cpu", "--no-model-warmup", "--log-level", "error"]
PEERS = {
    "infinity, torch": ("infinity", "checkpoint", "torch"),
    "infinity, optimum int8": ("infinity", "optimum-int8", "optimum"),
    "optimum int8 pipeline": ("optimum", "optimum-int8", ""),
}
"""Name to venv, model, and infinity's engine."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; `request` returns the request that classifies a text."""

    pid: int
    port: int
    request: Callable[[str], bytes]
    admin_port: int = 0


@contextlib.contextmanager
def pointsman(
    work: InferenceFolder, name: str, model: Path | str, vllm: int = NOBODY, **options: Any
) -> Iterator[Server]:
    """Run the daemon with the shipped config; `options` are those of `pointsman.classifier`."""
    port, admin = reserve_port(), reserve_port()
    config = shipped_config(vllm)
    config["classifier"]["category_model"]["model_id"] = str(model)
    config["pointsman"] = {
        "server": {"listen": [f"127.0.0.1:{port}"], "admin_listen": f"127.0.0.1:{admin}"},
        "classifier": options,
    }
    file = work.part("configs") / f"{name}.yaml"
    file.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "pointsman", "serve", "--config", str(file)]
    with _running(work, name, command, port, "/ready") as pid:
        yield Server(pid, port, lambda text: post("/api/v1/classify/intent", {"text": text}), admin)


@contextlib.contextmanager
def peer(work: InferenceFolder, name: str) -> Iterator[Server]:
    """Run one of PEERS; raises OSError or RuntimeError if it is not installed or does not start."""
    venv, model, engine = PEERS[name]
    python, folder, port = work.python(venv), str(work.model(model)), str(reserve_port())
    if engine:
        command = [str(python.with_name("infinity_emb")), *INFINITY, "--engine", engine, "--model-id", folder]
        command += ["--port", port]
    else:
        command = [str(python), str(HERE / "peers" / "optimum_server.py"), folder, port]
    with _running(work, name, command, int(port), "/health") as pid:
        yield Server(pid, int(port), _classify)


@contextlib.contextmanager
def upstream(work: InferenceFolder, delay: float) -> Iterator[int]:
    """Run a stand-in for vLLM, and yield its port."""
    command = [sys.executable, "-m", "inference.upstream", str(delay)]
    with started(work.part("logs") / "upstream.log", command, stdout=subprocess.PIPE) as process:
        yield int(process.stdout.readline())


def _classify(text: str) -> bytes:
    """Return a request in infinity's format, which the other servers accept, too."""
    return post("/classify", {"model": "base", "input": [text]})


@contextlib.contextmanager
def _running(work: InferenceFolder, name: str, command: list[str], port: int, ready: str) -> Iterator[int]:
    # A peer's venv must not import our modules, and no peer may download models.
    ours = command[0] == sys.executable
    environment = {key: value for key, value in os.environ.items() if ours or key != "PYTHONPATH"}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(work.part("cache")), "DO_NOT_TRACK": "1"}
    log = work.part("logs") / f"{name}.log"
    with running(log, command, lambda: _is_ready(port, ready), START_TIMEOUT_SECONDS, env=environment) as process:
        yield process.pid


def _is_ready(port: int, path: str) -> bool:
    with contextlib.suppress(OSError):
        get(port, path)
        return True
    return False
