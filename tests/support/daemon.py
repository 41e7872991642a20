"""`pointsman serve` as a real process on free ports, for as long as an `async with` block lasts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import yaml

from support.log import Log
from support.process import PATIENCE_SECONDS, eventually, log_tail, no_survivors, reserve_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

START_TIMEOUT_SECONDS = 2 * PATIENCE_SECONDS
DEADLINE_MS: int | None = None
"""Of a classification where a config says nothing of it; None leaves the service's own."""
STOP_TIMEOUT_SECONDS = 30.0 + PATIENCE_SECONDS  # above the 30 s that running answers get by default


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon; `config` is the file that it was given, `log` what it writes to stderr and stdout."""

    base_url: str
    admin_url: str
    process: asyncio.subprocess.Process
    config: Path
    log: Path
    _lines: Log

    def log_text(self) -> str:
        return self.log.read_text()

    def log_lines(self) -> list[dict[str, Any]]:
        """Return the lines logged so far; fails on a line that is not a JSON object."""
        return self._lines.lines()

    def memory(self, kind: str = "VmRSS") -> int:
        """Its resident bytes; `VmHWM` are the most that it ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith(f"{kind}:")]
        return int(line.split()[1]) * 1024

    async def logged(self, event: str, *, timeout_s: float = PATIENCE_SECONDS, **fields: Any) -> dict[str, Any]:
        """The first line of this event with these fields; waits for it."""
        wanted = {"event": event, **fields}
        found: list[dict[str, Any]] = []

        def look() -> bool:
            found[:] = [line for line in self.log_lines() if wanted.items() <= line.items()]
            return bool(found)

        await eventually(look, f"the daemon logs {wanted}", timeout_s=timeout_s)
        return found[0]


@contextlib.asynccontextmanager
async def run_daemon(
    config: str | Path | Mapping[str, Any],
    tmp_path: Path,
    *,
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    listener: socket.socket | None = None,
    admin_listener: socket.socket | None = None,
    stderr: int | None = None,
    exit_code: int = 0,
    files: int | None = None,
) -> AsyncIterator[Daemon]:
    """Start the daemon, yield once `/ready` is 200, end it with SIGTERM unless the block did.

    `listener` is a listening TCP socket that it inherits as its data port, as a socket unit of systemd would pass it,
    and `admin_listener` one that it inherits as its admin port. `stderr` is a file descriptor to log to, instead of a
    file; then the log is not checked.

    `files` limits the files that it may open.

    `config` is YAML text, a file, or the value of the YAML; its TCP addresses are replaced by free ones (that of
    `status_listen`, if any, instead of `admin_listen`) and it is written into `tmp_path`, so relative paths in it count
    from there. After a block that did not fail, the daemon must end with `exit_code` and have logged no traceback.
    """
    data_port, admin_port = (
        reserve_port() if given is None else given.getsockname()[1] for given in (listener, admin_listener)
    )
    if env is not None and (state := env.get("STATE_DIRECTORY")):
        _give_measured(Path(state))
    inherited = {"data": listener, "admin": admin_listener}
    listeners = {name: given for name, given in inherited.items() if given is not None}
    file = tmp_path / f"pointsman-{data_port}.yaml"
    file.write_text(on_ports(config, data_port, admin_port))
    log = tmp_path / f"pointsman-{data_port}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(() if files is None else ("bash", "-c", f'ulimit -n {files}; exec "$@"', "bash")),
            *_inheriting(listeners),
            *(sys.executable, "-m", "pointsman", "serve", "--config", str(file), *args),
            env=os.environ | (env or {}),
            pass_fds=[given.fileno() for given in listeners.values()],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT if stderr is None else stderr,
            start_new_session=True,
        )
    with no_survivors(process.pid):
        daemon = Daemon(
            base_url=f"{_scheme(file, 'tls')}://127.0.0.1:{data_port}",
            admin_url=f"{_scheme(file, 'admin_tls')}://127.0.0.1:{admin_port}",
            process=process,
            config=file,
            log=log,
            _lines=Log(log),
        )
        try:
            await _wait_until_ready(daemon)
            yield daemon
        finally:
            await _stop(daemon)
    assert process.returncode == exit_code, f"it exited with {process.returncode}:\n{log_tail(log)}"
    assert "Traceback (most recent call last)" not in daemon.log_text(), log_tail(log, 200)


def _give_measured(state: Path) -> None:
    """Let a state directory of its own begin with what a start leaves for the next in the tests' one."""
    if usual := os.environ.get("STATE_DIRECTORY"):
        state.mkdir(parents=True, exist_ok=True)
        for pattern in ("cost-*.json", "languages-*.npz"):
            for file in Path(usual).glob(pattern):
                with contextlib.suppress(FileExistsError):
                    os.link(file, state / file.name)


def _inheriting(listeners: Mapping[str, socket.socket]) -> list[str]:
    """A shell that makes these sockets the first inherited ones and then becomes the daemon."""
    if not listeners:
        return []
    moved = " ".join(f"{number}<&{given.fileno()}" for number, given in enumerate(listeners.values(), start=3))
    variables = f"LISTEN_PID=$$ LISTEN_FDS={len(listeners)} LISTEN_FDNAMES={':'.join(listeners)}"
    return ["bash", "-c", f'exec {moved}; {variables} exec "$@"', "bash"]


def on_ports(config: str | Path | Mapping[str, Any], data_port: int, admin_port: int) -> str:
    """The config as YAML, listening on these ports and on the Unix sockets that it names itself."""
    if isinstance(config, Mapping):
        tree = dict(config)
    else:
        tree = yaml.safe_load(config.read_text() if isinstance(config, Path) else config)
    options = dict(tree.get("pointsman") or {})
    server = dict(options.get("server") or {})
    sockets = [address for address in server.get("listen", ()) if address.startswith("unix:")]
    server["listen"] = [f"127.0.0.1:{data_port}", *sockets]
    if "status_listen" in server:
        server["status_listen"] = f"127.0.0.1:{admin_port}"
    else:
        server["admin_listen"] = f"127.0.0.1:{admin_port}"
    if DEADLINE_MS is not None:
        options["classifier"] = {"deadline_ms": DEADLINE_MS} | (options.get("classifier") or {})
    return yaml.safe_dump(tree | {"pointsman": options | {"server": server}}, sort_keys=False)


def _scheme(config: Path, port: str) -> str:
    server = yaml.safe_load(config.read_text()).get("pointsman", {}).get("server", {})
    return "https" if port in server else "http"


async def _wait_until_ready(daemon: Daemon) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_SECONDS)) as session:
        while not await _is_ready(session, daemon.base_url):
            if daemon.process.returncode is not None:
                reason = f"the daemon exited with {daemon.process.returncode} before it was ready"
            elif time.monotonic() > deadline:
                reason = f"the daemon was not ready within {START_TIMEOUT_SECONDS:g} s"
            else:
                await asyncio.sleep(0.02)
                continue
            raise AssertionError(f"{reason}:\n{log_tail(daemon.log)}")


async def _is_ready(session: aiohttp.ClientSession, base_url: str) -> bool:
    try:
        async with session.get(base_url + "/ready", ssl=False) as response:  # whatever its certificate is
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _stop(daemon: Daemon) -> None:
    """SIGTERM, unless it is stopping already; what has not ended when its time is over is killed."""
    if '"event":"stopping"' not in daemon.log_text():  # its handler is gone at the very end: a second one would kill
        with contextlib.suppress(ProcessLookupError):
            daemon.process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
            await daemon.process.wait()
    except TimeoutError:
        daemon.process.kill()
        await daemon.process.wait()
