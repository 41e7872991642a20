"""A real `vllm serve` on the CPU with the tiny Llama and its adapters, for as long as a `with` block."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.process import PATIENCE_SECONDS, eventually, log_tail, no_survivors, reserve_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
INSTALLER = Path(__file__).with_name("install_vllm.sh")
DEFAULT_VENV = ROOT / ".venv-vllm"
START_TIMEOUT_SECONDS = 180.0

_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    # One thread and no compiler: so small a model gains from neither, and compiling takes longer than a test.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "TORCH_COMPILE_DISABLE": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "VLLM_CPU_CI_ENV": "1",
    "VLLM_ENABLE_RESPONSES_API_STORE": "1",
}
# A proxy that the environment names would be asked for 127.0.0.1 too.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class VllmError(Exception):
    """vLLM did not start; the message ends with the tail of its log."""


@dataclass(frozen=True, slots=True)
class VllmServer:
    """A running server of the folder `model`. `adapters` are the names it serves besides `base_model`."""

    base_url: str
    model: Path
    base_model: str
    adapters: tuple[str, ...]
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def port(self) -> int:
        return int(self.base_url.rpartition(":")[2])

    def get(self, path: str, *, timeout_s: float = PATIENCE_SECONDS) -> bytes:
        """The body of a GET; urllib's errors where it is not answered with 200."""
        with _DIRECT.open(self.base_url + path, timeout=timeout_s) as response:
            body: bytes = response.read()
            return body

    def served_models(self) -> list[dict[str, Any]]:
        """The entries of `/v1/models`."""
        models: list[dict[str, Any]] = json.loads(self.get("/v1/models"))["data"]
        return models

    def log_text(self, since: int = 0) -> str:
        """The log from a byte offset on; `log_size()` gives one."""
        with self.log.open("rb") as file:
            file.seek(since)
            return file.read().decode(errors="replace")

    def log_size(self) -> int:
        return self.log.stat().st_size

    async def wait_log(self, text: str, *, since: int = 0, timeout_s: float = PATIENCE_SECONDS) -> float:
        """Wait until the log says `text` after the byte offset `since`; the seconds that it took."""
        return await eventually(lambda: text in self.log_text(since), f"vLLM logs {text!r}", timeout_s=timeout_s)


def is_installed(venv: Path) -> bool:
    """Return whether `install_vllm.sh` has completed in this folder."""
    return (venv / ".vllm-installed").exists()


def install(venv: Path) -> None:
    """Install vLLM there; returns at once where it is."""
    subprocess.run([INSTALLER, venv], check=True)


def build_model(venv: Path, folder: Path, builder: str = "tiny_llama") -> None:
    """Build a model into `folder`, the tiny Llama or another, with vLLM's own Python: it has all that this needs."""
    path = {"PYTHONPATH": str(ROOT / "tests")}
    subprocess.run([venv / "bin" / "python", "-m", f"support.{builder}", folder], check=True, env=os.environ | path)


@contextlib.contextmanager
def run_vllm(
    venv: Path,
    model: Path,
    log: Path,
    *,
    base_model: str = "llama2-7b",
    port: int | None = None,
    adapters: Sequence[str] | None = None,
    runtime_loading: bool = True,
    args: Sequence[str] = (),
) -> Iterator[VllmServer]:
    """Serve the folder that `build_model` made; yields once every model is listed.

    `adapters` are those that it starts with, all when not given; a model without a folder of them takes none. The three
    processes of vLLM are gone when the block is left, and also when this process is killed in it.
    """
    if adapters is None:
        adapters = sorted(adapter.name for adapter in (model / "adapters").glob("*"))
    if port is None:
        port = reserve_port()
    else:
        _must_be_free(port)
    command: list[str | Path] = [
        *(venv / "bin" / "vllm", "serve", model / "base", "--served-model-name", base_model),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--dtype", "float32", "--enforce-eager", "--max-num-seqs", "64"),
        *("--kv-cache-memory-bytes", str(64 * 1024 * 1024)),
        *(_lora_options(model / "adapters", adapters) if (model / "adapters").exists() else ()),
        "--enable-log-requests",  # without it an abort leaves no trace
        *args,
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=os.environ | _ENVIRONMENT | {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": str(runtime_loading)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with no_survivors(process.pid):
        server = VllmServer(
            base_url=f"http://127.0.0.1:{port}",
            model=model,
            base_model=base_model,
            adapters=tuple(adapters),
            log=log,
            process=process,
        )
        try:
            _wait_until_ready(server)
            yield server
        finally:
            _stop(process)


def _lora_options(folder: Path, names: Sequence[str]) -> list[str]:
    modules = ["--lora-modules", *(f"{name}={folder / name}" for name in names)]
    return ["--enable-lora", "--max-loras", "4", "--max-cpu-loras", "8", "--max-lora-rank", "16", *modules]


def _must_be_free(port: int) -> None:
    """Another listener there would be taken for the server that is about to start."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise VllmError(f"127.0.0.1:{port} cannot be listened on: {error.strerror}") from error


def _wait_until_ready(server: VllmServer) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not _is_ready(server):
        if server.process.poll() is not None:
            reason = f"vLLM exited with {server.process.returncode} before it was ready"
        elif time.monotonic() > deadline:
            reason = f"vLLM was not ready within {START_TIMEOUT_SECONDS:g} s"
        else:
            time.sleep(0.2)
            continue
        raise VllmError(f"{reason}; the end of {server.log}:\n{log_tail(server.log)}")


def _is_ready(server: VllmServer) -> bool:
    try:
        server.get("/health")
        served = {entry["id"] for entry in server.served_models()}
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
    return served.issuperset({server.base_model, *server.adapters})


def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, which vLLM does not obey while a stream is open; then SIGKILL."""
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
