"""Host names that do not resolve are told by `pointsman check`, within bounded time, and by nothing else."""

from __future__ import annotations

import io
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pointsman.cli import lookup
from pointsman.cli.check import check as run
from pointsman.config.load import load
from support.config_files import MINIMAL, write


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A resolver that knows `known` alone and that never answers for `slow` until the event is set."""
    go_on = threading.Event()

    def getaddrinfo(host: str, *_: Any) -> list[Any]:
        if host == "slow":
            go_on.wait()
        if host == "known":
            return []
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return go_on


def test_each_host_that_does_not_resolve_is_told_with_the_reason(resolver: threading.Event) -> None:
    assert lookup.unresolved(["known", "unknown"], 5.0) == {"unknown": "Name or service not known"}


def test_a_resolver_that_does_not_answer_is_not_waited_for(resolver: threading.Event) -> None:
    """The time is that of all hosts together."""
    started = time.monotonic()
    found = lookup.unresolved(["slow", "known", "slow", "unknown"], 0.5)
    resolver.set()

    assert found == {"slow": "no answer within 0.5 s", "unknown": "Name or service not known"}
    assert time.monotonic() - started < 10.0


def test_a_name_that_is_too_long_for_the_dns_is_told() -> None:
    assert lookup.unresolved(["a" * 64 + ".example"], 5.0).keys() == {"a" * 64 + ".example"}


def test_check_warns_at_the_endpoint_and_loading_does_not_look(resolver: threading.Event, tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL.replace("127.0.0.1", "unknown"))
    out = io.StringIO()

    assert load(path).warnings == ()
    assert run(path, out) == 0
    assert (
        f"warning: {path}:3: vllm_endpoints[0].address: the host name unknown does not resolve here "
        "(Name or service not known)" in out.getvalue()
    )


def test_an_endpoint_without_a_host_is_not_looked_up(resolver: threading.Event, tmp_path: Path) -> None:
    text = MINIMAL.replace("127.0.0.1\n    port: 8000", "unix:/run/vllm.sock")
    out = io.StringIO()

    assert run(write(tmp_path, text), out) == 0
    assert "resolve" not in out.getvalue()
