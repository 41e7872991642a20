"""A real vLLM on the CPU with Pointsman in front of it, to try by hand: `make run-vllm`.

Run as `PYTHONPATH=tests python -m support.run_vllm`. vLLM gets a tiny model of noise: the answers are
gibberish, the routing is real.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from support import vllm_server
from support.process import no_survivors
from support.vllm_server import ROOT, VllmError, VllmServer

if TYPE_CHECKING:
    from types import FrameType

CONFIG = ROOT / "config" / "config.yaml"
CACHE = ROOT / ".cache"
MODEL = CACHE / "tiny-llama"
LOG = CACHE / "vllm.log"
PORT = 8000  # the port of vLLM in config/config.yaml

TRY_IT = """
Try it (in another terminal):

  curl -i http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{"model": "MoM", "messages": [{"role": "user", "content": "Explain async/await in JavaScript"}]}'

  curl -i http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{"model": "MoM", "messages": [{"role": "user", "content": "What causes high blood pressure?"}]}'

"model" in the answer and the header x-vsr-selected-model say which adapter wrote it. Ctrl-C stops both.
"""


class Stop(BaseException):
    """SIGINT or SIGTERM came."""


def main() -> int:
    """Exit code of the daemon; 1 if vLLM does not start or ends first."""
    signal.signal(signal.SIGTERM, _raise_stop)
    signal.signal(signal.SIGINT, _raise_stop)
    venv = Path(os.environ.get("VLLM_VENV", vllm_server.DEFAULT_VENV))
    try:
        vllm_server.install(venv)
        vllm_server.build_model(venv, MODEL)
        _say(f"starting vLLM on 127.0.0.1:{PORT}, about 20 s; its log is {LOG}")
        with vllm_server.run_vllm(venv, MODEL, LOG, port=PORT) as vllm:
            _say(f"vLLM serves {vllm.base_model}, {', '.join(vllm.adapters)}")
            try:
                return _run_daemon(vllm)
            finally:
                _say("stopping vLLM")
    except Stop:
        return 0
    except (VllmError, subprocess.CalledProcessError) as error:
        _say(str(error))
        return 1


def _run_daemon(vllm: VllmServer) -> int:
    command = [sys.executable, "-m", "pointsman", "serve", "--config", str(CONFIG)]
    _say(f"starting {' '.join(command[1:])}")
    _say(TRY_IT)
    # In a session of its own Ctrl-C does not reach it: it gets one SIGTERM, from here.
    daemon = subprocess.Popen(command, start_new_session=True)
    with no_survivors(daemon.pid):
        try:
            while daemon.poll() is None:
                if vllm.process.poll() is not None:
                    _say(f"vLLM ended with {vllm.process.returncode}; the end of its log is in {LOG}")
                    return 1
                time.sleep(0.2)
        finally:
            _say("stopping Pointsman")
            daemon.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(timeout=45)  # above the 30 s that running answers get by default
    return daemon.returncode


def _say(text: str) -> None:
    print(text, flush=True)


def _raise_stop(_signal: int, _frame: FrameType | None) -> None:
    # A second Ctrl-C must not break off the clean-up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stop


if __name__ == "__main__":
    sys.exit(main())
