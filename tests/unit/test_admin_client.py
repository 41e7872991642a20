"""The command line's way to the admin port."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pointsman.cli import admin_client
from pointsman.cli.admin_client import AdminError, AdminPort, NoService, ask
from pointsman.cli.main import main
from support.config_files import MINIMAL, write
from support.process import reserve_port

LISTS: dict[str, dict[str, Any]] = {
    "classifier": {"in_use": "builtin", "promoted": None, "artifacts": []},
    "canary": {"canaries": []},
}


async def asked(tmp_path: Path, answer: web.Response) -> object:
    """What `ask` makes of this answer of a service at a Unix socket."""

    async def handle(request: web.Request) -> web.Response:
        assert (request.method, request.path, await request.json()) == ("POST", "/adapters/load", {"name": "x"})
        return answer

    async with served(tmp_path, handle):
        return await asyncio.to_thread(
            ask, AdminPort(f"unix:{tmp_path}/admin.sock"), "POST", "/adapters/load", {"name": "x"}
        )


@contextlib.asynccontextmanager
async def served(tmp_path: Path, handle: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "admin.sock")).start()
    try:
        yield
    finally:
        await runner.cleanup()


def config_of_socket(tmp_path: Path) -> str:
    """A config file whose service is at the Unix socket."""
    return str(write(tmp_path, f"{MINIMAL}pointsman: {{server: {{admin_listen: 'unix:{tmp_path}/admin.sock'}}}}\n"))


async def test_a_unix_socket_is_reached(tmp_path: Path) -> None:
    assert await asked(tmp_path, web.json_response({"endpoints": {"a": None}})) == {"endpoints": {"a": None}}


@pytest.mark.parametrize("command", LISTS)
async def test_a_list_warns_of_trouble(tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def handle(request: web.Request) -> web.Response:
        assert request.method == "GET"
        return web.json_response(LISTS[command] | {"trouble": "a restart forgets it"})

    config = config_of_socket(tmp_path)
    async with served(tmp_path, handle):
        code = await asyncio.to_thread(main, [command, "list", "--config", config])
    assert (code, capsys.readouterr().err) == (0, "pointsman: warning: a restart forgets it\n")


@pytest.mark.parametrize(("form", "printed"), [((), "pointsman: {}\n"), (("--json",), '{\n  "mode": "off"\n}\n')])
async def test_what_commands_have_set_is_printed(
    tmp_path: Path, form: tuple[str, ...], printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def handle(request: web.Request) -> web.Response:
        assert (request.method, request.path) == ("GET", "/overlay")
        return web.json_response({"overlay": {"mode": "off"}, "yaml": "pointsman: {}\n"})

    config = config_of_socket(tmp_path)
    async with served(tmp_path, handle):
        code = await asyncio.to_thread(main, ["config", "overlay", *form, "--config", config])
    assert (code, capsys.readouterr()) == (0, (printed, ""))


async def test_an_answer_that_tells_of_endpoints_is_no_refusal(tmp_path: Path) -> None:
    answer = web.json_response({"endpoints": {"a": "no"}}, status=502)
    assert await asked(tmp_path, answer) == {"endpoints": {"a": "no"}}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (web.json_response({"error": {"message": "no such adapter"}}, status=404), "no such adapter"),
        (web.json_response({"error": "Unauthorized"}, status=401), "Unauthorized"),
        (web.Response(text="<html>"), "check that it runs with this config"),
    ],
)
async def test_a_refusal_and_a_stranger_are_told(tmp_path: Path, answer: web.Response, expected: str) -> None:
    with pytest.raises(AdminError, match=expected.replace("?", r"\?")):
        await asked(tmp_path, answer)


@pytest.mark.parametrize(
    "answer",
    [
        web.json_response({"error": {"message": "POST /adapters/load: Not Found", "code": "not_found"}}, status=404),
        web.json_response({"detail": "Not Found"}, status=404),
        web.json_response([], status=404),
    ],
)
async def test_a_path_that_the_service_does_not_know_may_be_newer_than_it(tmp_path: Path, answer: web.Response) -> None:
    with pytest.raises(AdminError, match="restart the service if it is older than this command"):
        await asked(tmp_path, answer)


async def test_no_more_of_an_answer_is_read_than_any_service_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_client, "MAX_ANSWER_BYTES", 1000)
    with pytest.raises(AdminError, match="not JSON"):
        await asked(tmp_path, web.json_response({"endpoints": "x" * 1000}))


def nobody(tmp_path: Path) -> str:
    return f"unix:{tmp_path}/nobody"


def left_socket(tmp_path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(f"{tmp_path}/left")
    return f"unix:{tmp_path}/left"


def closed_port(_: Path) -> str:
    return f"127.0.0.1:{reserve_port()}"


@pytest.mark.parametrize("address", [nobody, left_socket, closed_port])
def test_nobody_there_is_told_with_the_address(tmp_path: Path, address: Callable[[Path], str]) -> None:
    where = address(tmp_path)
    with pytest.raises(NoService, match=re.escape(where)):
        ask(AdminPort(where), "GET", "/adapters")


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH\x1b[2J\r\n", b"", b"HTTP/1.1 200 OK\r\n\r\n\xff\xfe", b"\0" * 70_000]
)
def test_a_stranger_at_the_address_is_an_error_and_not_nobody(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(65_536)
                client.sendall(said)

        stranger = threading.Thread(target=answer)
        stranger.start()
        with pytest.raises(AdminError, match="no answer from the service's admin port") as caught:
            ask(AdminPort(f"127.0.0.1:{listener.getsockname()[1]}"), "GET", "/status")
        stranger.join()
    assert not isinstance(caught.value, NoService)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
