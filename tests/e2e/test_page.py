"""The page in a real browser, at the admin port of a real service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from pointsman.classify.manifest import MODEL, TOKENIZER
from support import toy_artifact
from support.browser import Browser
from support.config_files import LABELS
from support.daemon import Daemon, run_daemon
from support.fake_vllm import FakeVllm
from support.page import cells, named, shows, sizes
from support.quick_config import quick_config
from support.service import CHAT, MEDICAL, TECHNICAL, chat

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOKEN = "5f3a-9c1e"
HOSTILE = "<img src=x onerror='window.ran=1'><script>window.ran=1</script>"
CANDIDATE = "<img src=x onerror='window.ran=1'>"
# All that the candidate knows.
LEGAL = {"async": "health", "landlord": "law"}


@pytest_asyncio.fixture(loop_scope="session")
async def daemon(fake_vllm: FakeVllm, tmp_path: Path) -> AsyncIterator[Daemon]:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    config = quick_config(fake_vllm.port)
    config["pointsman"] = {"server": {"admin_token_file": token.name}}
    contents = {MODEL: toy_artifact.model(LABELS, LEGAL), TOKENIZER: toy_artifact.tokenizer(LEGAL)}
    toy_artifact.build_measured(tmp_path / "state" / "improve" / "artifacts" / CANDIDATE, contents, labels=list(LABELS))
    async with run_daemon(config, tmp_path, env={"STATE_DIRECTORY": str(tmp_path / "state")}) as found:
        yield found


async def ask(daemon: Daemon, *bodies: Any) -> None:
    async with aiohttp.ClientSession() as http:
        for body in bodies:
            async with http.post(daemon.base_url + CHAT, json=body) as response:
                await response.read()


async def opened(browser: Browser, daemon: Daemon, view: str = "now") -> None:
    """Open a view, with the token in the tab."""
    await browser.open(daemon.admin_url + "/page/icon.svg")
    await browser.run("sessionStorage.setItem('token', arguments[0])", TOKEN)
    await browser.open(f"{daemon.admin_url}/#{view}")


async def test_the_token_is_asked_for_and_a_wrong_one_again(browser: Browser, daemon: Daemon) -> None:
    await browser.open(daemon.admin_url)
    await shows(browser, "Admin token")
    for token, then in (("wrong", "This token is not right"), (TOKEN, "Classifier and routing")):
        await browser.run(
            """
            document.getElementById("token").value = arguments[0];
            document.querySelector("form button").click();
            """,
            token,
        )
        shown = await shows(browser, then)
    assert "Admin token" not in shown


async def test_without_data_the_view_says_so_in_a_line_and_has_no_empty_part(browser: Browser, daemon: Daemon) -> None:
    await opened(browser, daemon)
    shown = await shows(browser, "No request in this time. No error since the start of the service.")
    for part in ("by category", "Confidence", "Last errors", "Usage", "First byte, median"):
        assert part not in shown
    assert (await cells(browser, "Endpoints"))[0][:2] == ["vllm-primary", "up"]


async def test_it_shows_the_traffic_and_the_errors(browser: Browser, daemon: Daemon) -> None:
    await ask(daemon, chat(TECHNICAL), chat(TECHNICAL), chat(MEDICAL))
    await ask(daemon, {"model": 7}, {"model": 7})
    await opened(browser, daemon)
    await shows(browser, "technical-lora")
    assert await cells(browser, "Requests by category") == [
        ["technical", "", "2", "66.7 %"],
        ["medical", "", "1", "33.3 %"],
    ]
    assert await cells(browser, "Requests by reason") == [["classified", "", "3", "100.0 %"]]
    models = [[row[0], row[2], row[4], row[5]] for row in await cells(browser, "Models")]
    assert models == [["technical-lora", "2", "66.7 %", "–"], ["medical-lora", "1", "33.3 %", "–"]]
    assert sum(int(row[2]) for row in await cells(browser, "Confidence")) == 3
    assert [(row[1], row[3][0]) for row in await cells(browser, "Last errors")] == [("400", "2")]
    layers = "return [...document.querySelectorAll('.plot')].map(one => one.querySelectorAll('.area, .line').length)"
    assert await browser.run(layers) == [2, 2]


async def test_the_header_says_that_a_command_has_routing_off_and_until_when(browser: Browser, daemon: Daemon) -> None:
    await opened(browser, daemon)
    await shows(browser, "Classifier and routing")
    said = "return document.getElementById('mode').textContent"
    assert await browser.run(said) == ""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as http:
        for body, words in (
            ({"mode": "off"}, "routing off by command"),
            ({"mode": "off", "seconds": 3600}, "until 20"),
        ):
            async with http.post(daemon.admin_url + "/mode", json=body) as response:
                assert response.status == 200
            await shows(browser, words)
    assert (await browser.run(said)).endswith(" UTC")


async def test_what_clients_send_is_text_and_no_script_runs(
    browser: Browser, daemon: Daemon, fake_vllm: FakeVllm
) -> None:
    async def unknown(*_: Any) -> web.Response:
        return web.json_response({"error": {"message": HOSTILE, "code": 404}}, status=404)

    fake_vllm.answer = unknown
    await ask(daemon, chat(TECHNICAL, HOSTILE))
    await opened(browser, daemon)
    assert HOSTILE in await shows(browser, HOSTILE)
    assert await browser.run("return [window.ran, document.images.length, document.scripts.length]") == [None, 0, 1]
    refused = await browser.run(
        """
        const script = document.createElement("script");
        try {
            script.text = "window.ran = 1";
            document.body.append(script);
        } catch (error) {
            return [error.name, window.ran];
        }
        """
    )
    assert refused == ["TypeError", None], "the policy lets a script be made of text"


async def test_each_control_has_a_name_and_the_page_its_landmarks(browser: Browser, daemon: Daemon) -> None:
    await ask(daemon, chat(TECHNICAL), {"model": 7})
    await opened(browser, daemon)
    await shows(browser, "Last errors")
    shown = await named(browser)
    assert {"banner", "navigation", "main", "status"} <= {role for role, _ in shown}
    assert next(name for role, name in shown if role == "heading") == "Now"


@pytest.mark.long
async def test_a_long_run_does_not_grow(browser: Browser, daemon: Daemon) -> None:
    """Coming back to the page asks anew, as its timers do."""
    await ask(daemon, chat(TECHNICAL), {"model": 7})
    await opened(browser, daemon)
    await shows(browser, "Last errors")
    before, *later = [await sizes(browser, 100) for _ in range(4)]
    # What is garbage is not always found at once, so the least of several counts.
    after = {name: min(one[name] for one in later) for name in before}
    assert after["Nodes"] <= 1.1 * before["Nodes"] < 5_000
    assert after["JSHeapUsedSize"] <= 1.2 * before["JSHeapUsedSize"] < 8e6
    assert after["JSEventListeners"] <= before["JSEventListeners"]


WRAPPED = f"<context>\n\U0001f642 has fever. {HOSTILE}\n</context>\n\nQuestion: {TECHNICAL}?"


async def tried(browser: Browser, text: str) -> None:
    await browser.run(
        """
        const field = document.getElementById("tried");
        field.value = arguments[0];
        field.dispatchEvent(new Event("input"));
        document.querySelector("button.main").click();
        """,
        text,
    )


async def test_a_prompt_is_tried_with_its_ask_marked(browser: Browser, daemon: Daemon, fake_vllm: FakeVllm) -> None:
    await opened(browser, daemon, "try")
    await shows(browser, "Route it")
    await tried(browser, WRAPPED)
    shown = await shows(browser, "technical-lora")
    assert "classified" in shown
    assert await browser.run("return [...document.querySelectorAll('mark')].map(one => one.textContent)") == [
        f"{TECHNICAL}?"
    ]
    message = await browser.run("return document.querySelector('pre').textContent")
    assert message == WRAPPED
    (first, *_) = await cells(browser, "Categories")
    assert first[0] == "technical"
    assert float(first[2]) >= float(first[3]) > 0
    assert len(await cells(browser, "Labels")) == 14
    assert next(row[:1] for row in await cells(browser, "Edits")) == ["model"]
    assert [row[0] for row in await cells(browser, "Time")][-1] == "decide"
    assert await browser.run("return [window.ran, document.images.length]") == [None, 0]
    assert fake_vllm.received == []


async def test_a_whole_request_is_tried_and_one_that_is_none_is_told(browser: Browser, daemon: Daemon) -> None:
    await opened(browser, daemon, "try")
    await shows(browser, "Route it")
    await browser.run("document.querySelectorAll('.switch button')[1].click()")
    await tried(browser, '{"model": ')
    await shows(browser, "the body is not JSON (Expecting value")
    await tried(browser, json.dumps({"model": "auto", "input": [{"role": "user", "content": MEDICAL}]}))
    shown = await shows(browser, "medical-lora")
    assert "the body is not JSON" not in shown


async def test_a_candidate_is_tried_beside_the_classifier_in_use(browser: Browser, daemon: Daemon) -> None:
    await opened(browser, daemon, "try")
    await shows(browser, CANDIDATE)
    await browser.run(
        """
        const select = document.querySelector("select");
        select.value = arguments[0];
        select.dispatchEvent(new Event("change"));
        """,
        CANDIDATE,
    )
    await tried(browser, TECHNICAL)
    await shows(browser, "Its threshold")
    decision = await browser.run("return document.querySelector('.facts').innerText")
    assert f"{CANDIDATE} medical-lora medical, classified" in decision
    rows = {row[0]: row[1:] for row in await cells(browser, "Categories")}
    score, threshold, origin, other, others = rows["medical"][1:]
    assert (float(score) < float(threshold), origin) == (True, "category_model.threshold")
    assert float(other) >= float(others)
    assert max((float(row[3]), row[0]) for row in await cells(browser, "Labels"))[1] == "health"
    assert await browser.run("return [window.ran, document.images.length]") == [None, 0]
    await tried(browser, "")
    await shows(browser, "no text was classified")
