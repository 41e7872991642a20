"""The command line's way to the admin port."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from pointsman.cli.admin_client import AdminError, ask


async def asked(tmp_path: Path, answer: web.Response) -> object:
    """What `ask` makes of this answer of a service at a Unix socket."""

    async def handle(request: web.Request) -> web.Response:
        assert (request.method, request.path, await request.json()) == ("POST", "/adapters/load", {"name": "x"})
        return answer

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "admin.sock")).start()
    try:
        return await asyncio.to_thread(ask, f"unix:{tmp_path}/admin.sock", "POST", "/adapters/load", {"name": "x"})
    finally:
        await runner.cleanup()


async def test_a_unix_socket_is_reached(tmp_path: Path) -> None:
    assert await asked(tmp_path, web.json_response({"endpoints": {"a": None}})) == {"endpoints": {"a": None}}


async def test_an_answer_that_tells_of_endpoints_is_no_refusal(tmp_path: Path) -> None:
    answer = web.json_response({"endpoints": {"a": "no"}}, status=502)
    assert await asked(tmp_path, answer) == {"endpoints": {"a": "no"}}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (web.json_response({"error": {"message": "no such adapter"}}, status=404), "no such adapter"),
        (web.json_response({"error": "Unauthorized"}, status=401), "Unauthorized"),
        (web.json_response({"detail": "Not Found"}, status=404), "Not Found"),
        (web.Response(text="<html>"), "check that it runs with this config"),
    ],
)
async def test_a_refusal_and_a_stranger_are_told(tmp_path: Path, answer: web.Response, told: str) -> None:
    with pytest.raises(AdminError, match=told.replace("?", r"\?")):
        await asked(tmp_path, answer)


def test_nobody_there_is_told_with_the_address(tmp_path: Path) -> None:
    with pytest.raises(AdminError, match=f"unix:{tmp_path}/nobody"):
        ask(f"unix:{tmp_path}/nobody", "GET", "/adapters")
