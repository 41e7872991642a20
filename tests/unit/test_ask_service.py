"""`pointsman explain` and `status`: what they take, whom they ask, and how they fail."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pointsman.api.admin import MAX_ADMIN_BODY_BYTES
from pointsman.cli.main import main
from support.config_files import MINIMAL, write

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CATEGORIES = "categories:\n  - {name: law, model_scores: [{model: base, lora_name: law-lora, use_reasoning: false}]}\n"
ANSWER: dict[str, Any] = {
    "decision": {
        "model": "law-lora",
        "base_model": "base",
        "endpoints": ["a"],
        "category": "law",
        "confidence": 0.9,
        "threshold": 0.6,
        "reason": "sticky",
        "reasoning": None,
        "system_prompt": None,
        "tools": False,
    },
    "ask": {"kind": "message", "text": "What is a tort?", "others": [], "steps": []},
    "conversation": None,
    "categories": {},
    "labels": {},
    "edits": [],
    "text": None,
    "timing_ms": {},
}


def config(folder: Path) -> Path:
    return write(
        folder, MINIMAL + CATEGORIES + f"pointsman: {{server: {{admin_listen: 'unix:{folder}/admin.sock'}}}}\n"
    )


@asynccontextmanager
async def answering(folder: Path, handle: Handler) -> AsyncIterator[None]:
    """Something at the admin address of `config`."""
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(folder / "admin.sock")).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def command(folder: Path, *arguments: str) -> int:
    return await asyncio.to_thread(main, [*arguments, "--config", str(config(folder))])


async def test_explain_asks_the_service_where_one_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[tuple[str, str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.method, request.path, await request.json()))
        return web.json_response(ANSWER)

    async with answering(tmp_path, answer):
        assert await command(tmp_path, "explain", "my landlord") == 0
        shown = capsys.readouterr().out.splitlines()
        assert await command(tmp_path, "explain", "my landlord", "--json") == 0

    question = {"model": "auto", "messages": [{"role": "user", "content": "my landlord"}]}
    assert asked == [("POST", "/route", question)] * 2
    assert shown[:2] == [f"service    unix:{tmp_path}/admin.sock", "model      law-lora (adapter of base)"]
    assert json.loads(capsys.readouterr().out) == ANSWER | {"service": f"unix:{tmp_path}/admin.sock"}


async def test_a_whole_request_is_sent_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(await request.read())
        return web.json_response(ANSWER)

    body = b'{ "model": "MoM", "messages": [{"role": "user", "content": "caf\\u00e9"}], "tools": [1.50e0] }'
    (tmp_path / "request.json").write_bytes(body)
    async with answering(tmp_path, answer):
        assert await command(tmp_path, "explain", "--request", str(tmp_path / "request.json")) == 0
    assert asked == [body]


@pytest.mark.heavy
def test_where_none_runs_or_none_is_wanted_explain_is_offline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ((), ("--offline",)):
        assert main(["explain", "Can my landlord evict me?", *option, "--config", str(config(tmp_path))]) == 0
        first, second = capsys.readouterr().out.splitlines()[:2]
        assert (
            first
            == f"service    offline, without the service at unix:{tmp_path}/admin.sock: every adapter counts as served"
        )
        assert second == "model      law-lora (adapter of base)"
    assert main(["explain", "Can my landlord evict me?", "--json", "--config", str(config(tmp_path))]) == 0
    assert json.loads(capsys.readouterr().out)["service"] is None


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "the body is not JSON"),
        (b"\x7fELF\x02\x01\x01\0" + bytes(range(256)), "standard input"),
        (b"[]", "the body is not a JSON object"),
        (b"what is a tort?", "the body is not JSON"),
        (b'{"model": 5}', "`model` must be a string"),
        (b'{"messages": ' + b"[" * 2000, "the body is"),
        (b" " * (MAX_ADMIN_BODY_BYTES + 1), "it is larger than 8,388,608 bytes"),
    ],
)
def test_what_is_no_request_is_one_line_and_status_1(body: bytes, expected: str, tmp_path: Path) -> None:
    """From standard input, which may be anything; files are among the bad files of every command."""
    run = [sys.executable, "-m", "pointsman", "explain", "--request", "-", "--config", str(config(tmp_path))]
    done = subprocess.run(run, input=body, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("pointsman: standard input: ")
    assert expected in line


@pytest.mark.heavy
def test_a_closed_standard_input_is_told(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "pointsman", "explain", "--request", "-", "--config", str(config(tmp_path))]
    done = subprocess.run(
        ["bash", "-c", 'exec "$@" <&-', "bash", *run], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pointsman: standard input: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["text", "--request", "file"]])
def test_explain_takes_a_text_or_a_request(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["explain", *arguments])
    assert caught.value.code == 2
    assert "give either a TEXT or --request FILE" in capsys.readouterr().err


UNLISTED = {"error": {"message": "POST /route: Not Found", "code": "not_found"}}
REFUSED = {"error": {"message": "the classifier stopped", "code": "internal_error"}}


@pytest.mark.parametrize("arguments", [("explain", "hello"), ("status",), ("status", "--json")])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param((404, json.dumps(UNLISTED)), "restart the service if it is older", id="an older service"),
        pytest.param((404, '{"detail": "Not Found"}'), "check that it runs with this config", id="a vLLM"),
        pytest.param((200, "<html>"), "check that it runs with this config", id="a web server"),
        pytest.param((200, "[]"), "another form", id="another form"),
        pytest.param((500, json.dumps(REFUSED)), "the classifier stopped", id="a refusal"),
    ],
)
async def test_a_service_that_cannot_answer_is_one_line_and_status_1(
    arguments: tuple[str, ...],
    answer: tuple[int, str],
    expected: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=answer[0], text=answer[1], content_type="application/json")

    async with answering(tmp_path, handle):
        assert await command(tmp_path, *arguments) == 1
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert expected in err


@pytest.mark.parametrize("arguments", [("explain", "hello"), ("status",)])
@pytest.mark.parametrize("answer", [{}, {"version": "9.9", "decision": {}}])
async def test_an_answer_of_another_version_is_told(
    arguments: tuple[str, ...], answer: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.json_response(answer)

    async with answering(tmp_path, handle):
        assert await command(tmp_path, *arguments) == 1
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines()), "another form" in err) == ("", 1, True)


def test_status_without_a_service_is_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--config", str(config(tmp_path))]) == 1
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert f"no answer from the service's admin port at unix:{tmp_path}/admin.sock" in err
