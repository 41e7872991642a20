"""An endpoint may be reached over TLS or a Unix socket: the same request arrives, and connections are kept."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support import needs, toy_artifact
from support.daemon import run_daemon
from support.hostile import Connection, Hostile
from support.raw_client import ask, chat
from support.relay import Relay, relay_config

pytestmark = pytest.mark.asyncio(loop_scope="session")


def certificate(folder: Path) -> tuple[Path, Path]:
    """Of `localhost`, signed by itself, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    command = [needs.program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    command += ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def reached_at(folder: Path, address: str) -> dict[str, Any]:
    config = relay_config(str(toy_artifact.build_measured(folder / "toy")), 0)
    config["vllm_endpoints"] = [{"name": "a", "address": address}]
    return config


async def over_tls(hostile: Hostile, certificate: Path, key: Path) -> tuple[asyncio.Server, str]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(hostile), "127.0.0.1", 0, ssl=context)
    return server, f"https://localhost:{server.sockets[0].getsockname()[1]}"


async def passes_on_one_connection(relay: Relay) -> None:
    for _ in range(3):
        got = await relay.ask()
        assert got.status == 200
        assert json.loads(got.body)["object"] == "chat.completion"
    requests = relay.upstream.requests
    assert len(requests) == 3
    assert len({id(exchange.connection) for exchange in requests}) == 1


async def test_over_tls_with_a_certificate_that_the_host_trusts(tmp_path: Path) -> None:
    hostile = Hostile()
    trusted, key = certificate(tmp_path)
    server, url = await over_tls(hostile, trusted, key)
    async with server, run_daemon(reached_at(tmp_path, url), tmp_path, env={"SSL_CERT_FILE": str(trusted)}) as daemon:
        await passes_on_one_connection(Relay(daemon, hostile))
        await hostile.die()


async def test_a_certificate_that_the_host_does_not_trust_is_a_502_and_gets_no_request(tmp_path: Path) -> None:
    hostile = Hostile()
    server, url = await over_tls(hostile, *certificate(tmp_path))
    async with server, run_daemon(reached_at(tmp_path, url), tmp_path) as daemon:
        got = await ask(daemon.base_url, chat())
        assert got.status == 502
        assert url not in got.body.decode()
        line = await daemon.logged("routing_decision", status=502)
        assert "certificate" in line["error"]
        assert hostile.requests == []


async def test_over_a_unix_socket(tmp_path: Path) -> None:
    hostile, path = Hostile(), tmp_path / "vllm.sock"
    server = await asyncio.get_running_loop().create_unix_server(lambda: Connection(hostile), path)
    async with server, run_daemon(reached_at(tmp_path, f"unix:{path}"), tmp_path) as daemon:
        await passes_on_one_connection(Relay(daemon, hostile))
        await hostile.die()
