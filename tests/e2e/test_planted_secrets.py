"""Secrets planted wherever the service meets one are in no log line, no metric, no answer of the admin port."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from support.client_keys import line
from support.daemon import Daemon, run_daemon
from support.fake_vllm import run_fake_vllm
from support.quick_config import quick_config
from support.service import CHAT

# By where each is planted.
PROMPT, ANSWER, SYSTEM = "planted-prompt-1f0c", "planted-answer-2a9d", "planted-system-3b77"
CLIENT_KEY, WRONG_KEY, VLLM_KEY = "planted-client-4c21", "planted-wrong-5d60", "planted-vllm-6e83"
COOKIE, PROXY, HEADER, QUERY = "planted-cookie-7f15", "planted-proxy-8a42", "planted-header-9b0e", "planted-query-a1c7"
IN_CONFIG, ADMIN_TOKEN = "planted-config-b2d4", "planted-token-c3e9"
OURS = (CLIENT_KEY, VLLM_KEY, ADMIN_TOKEN, IN_CONFIG)
"""What no client may be told, whatever it sends."""
SECRETS = (*OURS, PROMPT, ANSWER, SYSTEM, WRONG_KEY, COOKIE, PROXY, HEADER, QUERY)

ADMIN_PATHS = (
    *("/metrics", "/config", "/status", "/adapters", "/ready", "/canaries"),
    *("/", "/decisions", "/errors", "/traffic/hour", "/experiments"),
)
HEADERS = {
    "Content-Type": "application/json",
    "Cookie": f"session={COOKIE}",
    "Proxy-Authorization": f"Basic {PROXY}",
    "X-Custom": HEADER,
}
MESSAGES = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"Is {PROMPT} a tort?"}]


async def vllm_answer(_: web.Request, body: bytes) -> web.StreamResponse:
    """An error that quotes the prompt, with the status that the body names; an error within a stream; or an answer."""
    text = body.decode(errors="replace")
    if "status-" in text:
        status = int(text.partition("status-")[2][:3])
        return web.json_response({"error": {"message": f"{PROMPT} {ANSWER}", "code": status}}, status=status)
    if '"stream"' in text:
        event = f"data: {json.dumps({'error': {'message': ANSWER, 'code': 500}})}\n\n"
        return web.Response(body=event.encode(), headers={"Content-Type": "text/event-stream"})
    return web.json_response({"choices": [{"message": {"content": ANSWER}}]})


def config(port: int, folder: Path) -> dict[str, Any]:
    (folder / "vllm.key").write_text(VLLM_KEY)
    (folder / "admin.token").write_text(ADMIN_TOKEN)
    (folder / "keys.yaml").write_bytes(line("ann", sent=CLIENT_KEY))
    for name in ("vllm.key", "admin.token", "keys.yaml"):
        (folder / name).chmod(0o600)
    return quick_config(port) | {
        "pointsman": {
            "server": {"admin_token_file": "admin.token"},
            "relay": {"api_key_file": "vllm.key"},
            "access": {"keys_file": "keys.yaml"},
            "log": {"level": "debug"},
        }
    }


async def every_way(http: aiohttp.ClientSession, base: str) -> str:
    """Ask in every way that can go well or wrong; return all answers of errors."""
    chat = {"model": "MoM", "messages": MESSAGES}
    fields: list[dict[str, Any]] = [{}, {"stream": True}, {"model": "nobody-lora"}, {"model": [PROMPT]}]
    fields += [{"user": f"status-{status}"} for status in (400, 404, 500, 503)]
    bodies = [json.dumps(chat | more).encode() for more in fields]
    bodies += [f'{{"model": "MoM", "messages": ["{PROMPT}'.encode(), f'"{PROMPT}"'.encode(), PROMPT.encode("utf-16")]
    seen = ""
    for path in (CHAT, "/v1/messages", "/v1/responses", "/v1/completions", "/v1/route", "/tokenize", "/nowhere"):
        for body in bodies:
            for key in (CLIENT_KEY, WRONG_KEY, None):
                sent = HEADERS if key is None else HEADERS | {"Authorization": f"Bearer {key}"}
                async with http.post(f"{base}{path}?key={QUERY}", data=body, headers=sent) as response:
                    text = await response.text(errors="replace")
                    seen += text if response.status >= 400 else ""
    return seen


async def of_the_operator(http: aiohttp.ClientSession, daemon: Daemon) -> str:
    """All that the admin port tells, with its token and without, and about a broken config with a password, too."""
    before = daemon.config.read_text()
    broken = before.replace("address: 127.0.0.1", f"address: http://user:{IN_CONFIG}@127.0.0.1")
    assert broken != before
    daemon.config.write_text(broken + f"\nunknown_key: {IN_CONFIG}\napi_key: [{IN_CONFIG}]\n")
    asked = [f"/request?id={line['request_id']}" for line in daemon.log_lines() if line["event"] == "routing_decision"]
    seen = ""
    for headers in ({}, {"Authorization": f"Bearer {ADMIN_TOKEN}"}, {"Authorization": f"Bearer {WRONG_KEY}"}):
        async with http.post(daemon.admin_url + "/reload", json={}, headers=headers) as response:
            seen += await response.text()
        for path in (*ADMIN_PATHS, "/nowhere", *asked):
            async with http.get(daemon.admin_url + path, headers=headers) as response:
                seen += await response.text()
    assert '"generation"' in seen, "the token was accepted"
    assert '"requests":[{' in seen, "a request was told"
    assert "unknown_key" in seen, "the broken config was told"
    assert "an address with credentials" in seen
    return seen


async def test_planted_secrets_are_told_nobody(tmp_path: Path) -> None:
    async with run_fake_vllm() as fake, aiohttp.ClientSession() as http:
        fake.answer = vllm_answer
        async with run_daemon(config(fake.port, tmp_path), tmp_path) as daemon:
            to_clients = await every_way(http, daemon.base_url)
            to_operators = await of_the_operator(http, daemon)
        log = daemon.log_text()
    assert log.count("routing_decision") > 10
    assert [secret for secret in SECRETS if secret in log] == []
    assert [secret for secret in SECRETS if secret in to_operators] == []
    assert [secret for secret in OURS if secret in to_clients] == []
