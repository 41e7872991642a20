"""What surrounds the views of the page, in a real browser: the state of the service, and a page without scripts."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from support.browser import Browser
from support.daemon import Daemon, run_daemon
from support.fake_vllm import FakeVllm
from support.page import cells, run_page, shows
from support.process import reserve_port
from support.quick_config import quick_config
from support.service import CHAT, TECHNICAL, chat

pytestmark = pytest.mark.asyncio(loop_scope="session")

TABLE = "Decisions, the newest first"
STATE = "const one = document.getElementById('state'); return [one.textContent, one.className]"


@pytest_asyncio.fixture(loop_scope="session")
async def daemon(fake_vllm: FakeVllm, tmp_path: Path) -> AsyncIterator[Daemon]:
    async with run_daemon(quick_config(fake_vllm.port), tmp_path) as found:
        yield found


@pytest.mark.parametrize("view", ["now", "decisions"])
async def test_a_service_that_hangs_is_red_within_ten_seconds_and_green_again_by_itself(
    browser: Browser, daemon: Daemon, view: str
) -> None:
    """It accepts connections, and answers none."""
    async with aiohttp.ClientSession() as http, http.post(daemon.base_url + CHAT, json=chat(TECHNICAL)) as answer:
        await answer.read()
    await browser.open(f"{daemon.admin_url}/#{view}")
    before = await shows(browser, "technical-lora")
    assert await browser.run(STATE) == ["ready", "state good"]
    stopped = time.time()
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        shown = await shows(browser, "does not answer since")
        assert time.time() - stopped < 10
        assert (await browser.run(STATE))[1] == "state bad"
        (since,) = re.findall(r"does not answer since (\d\d:\d\d:\d\d) UTC", shown)
        seconds = [time.strftime("%H:%M:%S", time.gmtime(stopped + late)) for late in range(6)]
        assert since in seconds
        assert f"What you see is from before {since} UTC." in shown
        assert "technical-lora" in shown
        assert len(shown) >= len(before), "what was shown is gone"
        await browser.run("location.hash = '#compare'")
        await browser.run(f"location.hash = '#{view}'")
        assert "What you see is from before" in await browser.text()
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    shown = await shows(browser, "ready")
    assert "does not answer" not in shown
    assert "What you see" not in shown
    assert await browser.run(STATE) == ["ready", "state good"]


async def test_a_service_that_was_stopped_is_red_and_another_in_its_place_green(browser: Browser) -> None:
    address = f"127.0.0.1:{reserve_port()}"
    async with run_page(address=address) as port:
        await browser.open(f"{port.url}/#decisions")
        await shows(browser, "None so far")
        await shows(browser, "ready")
    stopped = time.time()
    await shows(browser, "does not answer since")
    assert time.time() - stopped < 10
    async with run_page(address=address):
        await shows(browser, "ready")
        assert await cells(browser, TABLE) == []


async def test_a_browser_without_scripts_says_what_to_use(browser: Browser) -> None:
    async with run_page() as port:
        await browser.devtools("Emulation.setScriptExecutionDisabled", value=True)
        try:
            await browser.open(f"{port.url}/page/icon.svg")
            await browser.open(port.url)
            tree = (await browser.devtools("Accessibility.getFullAXTree"))["nodes"]
        finally:
            await browser.devtools("Emulation.setScriptExecutionDisabled", value=False)
    shown = " ".join(node["name"]["value"] for node in tree if node["role"]["value"] == "StaticText")
    assert "This page needs JavaScript" in shown
    assert {"pointsman status", "pointsman why ID"} <= set(re.findall(r"pointsman (?:status|why ID)", shown))
    assert "connecting" not in shown


async def test_the_whole_page_takes_less_than_200_kb() -> None:
    async with run_page() as port, aiohttp.ClientSession() as http:
        async with http.get(port.url) as answer:
            html = await answer.read()
        names = set(re.findall(r'(?:href|src)="(/page/[^"]+)"', html.decode()))
        size = len(html)
        seen: set[str] = set()
        while names - seen:
            name = (names - seen).pop()
            seen.add(name)
            async with http.get(port.url + name) as answer:
                assert answer.status == 200
                body = await answer.read()
            size += len(body)
            names |= {f"/page/{one}" for one in re.findall(r'from "\./([^"]+)"', body.decode())}
    assert 50_000 < size < 200_000
