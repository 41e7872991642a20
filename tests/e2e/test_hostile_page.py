"""A hostile page in the browser of an operator: it can neither read nor change anything through either port.

It is served as evil.example, and does all that pages may do without asking; then it points its own name at the ports
(DNS rebinding). The same page against a server that permits everything shows that each attempt would have arrived.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from support.browser import Browser, run_browser
from support.daemon import Daemon, run_daemon
from support.fake_vllm import FakeVllm, completion, run_fake_vllm
from support.metrics import until
from support.quick_config import quick_config

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVIL = "evil.example"
# What a page can do with an address: each returns what it could read of the answer, or null.
ATTEMPTS = r"""
const [base, reads, writes] = arguments;
const seen = {};
const note = async (name, work) => {
    let timer;
    const late = new Promise(resolve => { timer = setTimeout(resolve, 10_000, null); });
    seen[name] = await Promise.race([work().catch(() => null), late]);
    clearTimeout(timer);
};
const read = response => response.type === "opaque" ? null : response.text();
const loaded = (element, attribute, url) => new Promise(resolve => {
    element.onload = () => resolve("loaded");
    element.onerror = () => resolve(null);
    element[attribute] = url;
    document.body.append(element);
});
const kinds = {
    "text/plain": body => body,
    "application/x-www-form-urlencoded": body => body,
    "multipart/form-data; boundary=x": body =>
        `--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n${body}\r\n--x--\r\n`,
};
for (const path of reads) {
    const url = base + path;
    await note(`fetch ${path}`, async () => read(await fetch(url)));
    await note(`fetch with cookies ${path}`, async () => read(await fetch(url, {credentials: "include"})));
    await note(`fetch no-cors ${path}`, async () => read(await fetch(url, {mode: "no-cors"})));
    await note(`script ${path}`, () => loaded(document.createElement("script"), "src", url));
    await note(`img ${path}`, () => loaded(document.createElement("img"), "src", url));
    await note(`iframe ${path}`, async () => {
        const frame = document.createElement("iframe");
        await loaded(frame, "src", url);
        return frame.contentDocument && frame.contentDocument.body.innerText;
    });
    await note(`EventSource ${path}`, () => new Promise(resolve => {
        const source = new EventSource(url);
        source.onmessage = event => { source.close(); resolve(event.data); };
        source.onerror = () => { source.close(); resolve(null); };
    }));
    await note(`WebSocket ${path}`, () => new Promise(resolve => {
        const socket = new WebSocket(url.replace("http", "ws"));
        socket.onopen = () => { socket.close(); resolve("opened"); };
        socket.onerror = () => resolve(null);
    }));
}
for (const [path, value] of writes) {
    const url = base + path, body = value === null ? undefined : JSON.stringify(value);
    for (const [kind, encode] of Object.entries(kinds)) {
        const content = body === undefined ? undefined : encode(body);
        await note(`POST no-cors ${kind} ${path}`, async () => read(
            await fetch(url, {method: "POST", mode: "no-cors", body: content, headers: {"Content-Type": kind}})));
        await note(`POST ${kind} ${path}`, async () => read(
            await fetch(url, {method: "POST", body: content, headers: {"Content-Type": kind}})));
    }
    await note(`POST without a referrer ${path}`, async () => read(
        await fetch(url, {method: "POST", mode: "no-cors", body, referrerPolicy: "no-referrer"})));
    await note(`POST JSON ${path}`, async () => read(
        await fetch(url, {method: "POST", body, headers: {"Content-Type": "application/json"}})));
    await note(`beacon ${path}`, async () => { navigator.sendBeacon(url, body || ""); return null; });
    await note(`form ${path}`, async () => {
        const target = document.createElement("iframe");
        target.name = "target" + Math.random();
        document.body.append(target);
        const form = document.createElement("form");
        Object.assign(form, {action: url, method: "POST", enctype: "text/plain", target: target.name});
        const input = document.createElement("input");
        Object.assign(input, {name: (body || "x") + " ", value: ""});
        form.append(input);
        document.body.append(form);
        await new Promise(resolve => { target.onload = resolve; form.submit(); });
        return target.contentDocument && target.contentDocument.body.innerText;
    });
}
return seen;
"""
ADMIN_READS = ["/", "/config", "/status", "/adapters", "/decisions", "/request?id=3c1f5e", "/metrics", "/health"]
ADMIN_WRITES: list[Any] = [
    ["/reload", None],
    ["/mode", {"mode": "off"}],
    ["/adapters/unload", {"name": "legal-lora"}],
    ["/route", {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}],
]
CHAT = {"model": "llama2-7b", "messages": [{"role": "user", "content": "hello"}]}
DATA_READS = ["/v1/models", "/health"]
DATA_WRITES: list[Any] = [
    ["/v1/chat/completions", CHAT],
    ["/v1/route", CHAT],
    ["/api/v1/classify/intent", {"text": "a"}],
]


@dataclass
class Permissive:
    """A server that permits every origin everything, and notes what arrives; it also serves the hostile page."""

    port: int = 0
    arrived: set[str] = field(default_factory=set)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        self.arrived.add(f"{request.method} {request.path} {'with a body' if body else 'empty'}")
        allow = {
            "Access-Control-Allow-Origin": request.headers.get("Origin", "*"),
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Allow-Headers": "content-type",
        }
        if request.headers.get("Upgrade", "").lower() == "websocket":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.close()
            return socket
        if "text/event-stream" in request.headers.get("Accept", ""):
            return web.Response(text="data: secret\n\n", content_type="text/event-stream", headers=allow)
        return web.Response(text="<p>secret", content_type="text/html", headers=allow)


@contextlib.asynccontextmanager
async def permissive() -> AsyncIterator[Permissive]:
    found = Permissive()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.port = runner.addresses[0][1]
    try:
        yield found
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    async with run_browser(tmp_path_factory.mktemp("browser"), names={EVIL: "127.0.0.1"}) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def evil() -> AsyncIterator[Permissive]:
    async with permissive() as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def vllm() -> AsyncIterator[FakeVllm]:
    async with run_fake_vllm() as fake:
        fake.answer = only_json
        yield fake


async def only_json(request: web.Request, body: bytes) -> web.StreamResponse:
    """As vLLM does."""
    return await completion(request, body) if request.content_type == "application/json" else web.Response(status=415)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def daemon(vllm: FakeVllm, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Daemon]:
    """As in release 0.1: one admin port on the loopback interface, and no token."""
    async with run_daemon(quick_config(vllm.port), tmp_path_factory.mktemp("daemon")) as found:
        yield found


async def attack(browser: Browser, base: str, reads: list[str], writes: list[Any]) -> Mapping[str, str | None]:
    found: Mapping[str, str | None] = await browser.run(ATTEMPTS, base, reads, writes)
    assert len(found) == 8 * len(reads) + 10 * len(writes), found
    return found


def read_by(found: Mapping[str, str | None]) -> dict[str, str]:
    """The attempts that could read something."""
    return {name: text for name, text in found.items() if text}


def changes(daemon: Daemon) -> list[str]:
    """What was changed through the admin port: every reload, mode and adapter is in the log."""
    return [line["event"] for line in daemon.log_lines() if line["event"] in {"reload", "mode", "adapter"}]


async def test_the_attempts_would_arrive_and_be_read_where_everything_is_permitted(
    browser: Browser, evil: Permissive
) -> None:
    """Else the other tests would prove nothing."""
    async with permissive() as other:
        await browser.open(f"http://{EVIL}:{evil.port}/")
        found = await attack(
            browser, f"http://127.0.0.1:{other.port}", ["/config"], [["/reload", None], ["/mode", {"a": 1}]]
        )

    readable = set(read_by(found))
    assert {"fetch /config", "fetch with cookies /config", "EventSource /config", "WebSocket /config"} <= readable
    assert {"POST text/plain /mode", "POST JSON /mode", "POST JSON /reload"} <= readable
    assert {"GET /config empty", "POST /reload empty", "POST /mode with a body"} <= other.arrived
    assert not [name for name in readable if name.split()[0] in {"iframe", "form", "beacon"} or "no-cors" in name]


async def test_a_page_of_another_origin_reads_and_changes_nothing_through_the_admin_port(
    browser: Browser, evil: Permissive, daemon: Daemon, vllm: FakeVllm
) -> None:
    vllm.received.clear()
    await browser.open(f"http://{EVIL}:{evil.port}/")

    found = await attack(browser, daemon.admin_url, ADMIN_READS, ADMIN_WRITES)

    assert read_by(found) == {}
    assert changes(daemon) == []
    assert vllm.received == []


async def test_a_page_that_points_its_name_at_the_admin_port_reads_and_changes_nothing(
    browser: Browser, daemon: Daemon, vllm: FakeVllm
) -> None:
    """The browser takes the port for the page's own server, so only what it answers protects it."""
    vllm.received.clear()
    rebound = daemon.admin_url.replace("127.0.0.1", EVIL)
    await browser.open(f"{rebound}/metrics")
    assert "unknown_host" in await browser.text()

    found = await attack(browser, rebound, ADMIN_READS, ADMIN_WRITES)

    assert {code(text) for name, text in read_by(found).items() if name.split()[0] in {"fetch", "POST"}} == {
        "unknown_host"
    }
    assert "EventSource /config" not in read_by(found)
    assert "WebSocket /config" not in read_by(found)
    assert changes(daemon) == []
    assert vllm.received == []


async def test_a_page_of_another_origin_reads_nothing_through_the_data_port_and_reaches_no_model(
    browser: Browser, evil: Permissive, daemon: Daemon, vllm: FakeVllm
) -> None:
    """A body that is not JSON is forwarded as it is, and vLLM refuses it with 415."""
    vllm.received.clear()
    await browser.open(f"http://{EVIL}:{evil.port}/")

    found = await attack(browser, daemon.base_url, DATA_READS, DATA_WRITES)

    assert read_by(found) == {}
    assert {kind for one in vllm.received for kind in one.values("content-type")} <= {
        "text/plain",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    }


async def test_a_page_that_points_its_name_at_the_data_port_reaches_nothing(
    browser: Browser, daemon: Daemon, vllm: FakeVllm
) -> None:
    vllm.received.clear()
    rebound = daemon.base_url.replace("127.0.0.1", EVIL)
    await browser.open(f"{rebound}/v1/models")
    assert "unknown_host" in await browser.text()

    found = await attack(browser, rebound, DATA_READS, DATA_WRITES)

    assert {code(text) for name, text in read_by(found).items() if name.split()[0] in {"fetch", "POST"}} == {
        "unknown_host"
    }
    assert vllm.received == []
    await until(daemon, "requests_in_flight", 0)


async def test_an_operator_who_opens_the_address_reads_it(browser: Browser, daemon: Daemon) -> None:
    """By its own name nothing is in the way, and a page there may change what is its own."""
    await browser.open(f"{daemon.admin_url}/metrics")
    assert "pointsman_requests_in_flight" in await browser.text()
    outcome = await browser.run(
        "return await (await fetch('/route', {method: 'POST', headers: {'Content-Type': 'application/json'}, "
        "body: JSON.stringify(arguments[0])})).json()",
        CHAT,
    )
    assert outcome["decision"]["model"] == "llama2-7b"


def code(text: str) -> Any:
    return json.loads(text)["error"]["code"]
