"""The view of the page on described categories, in a real browser, with the file of a state directory."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pointsman.api.admin import dry_run_route
from pointsman.observability.record import Record
from pointsman.server.request import Request
from pointsman.server.response import Response, json_response
from pointsman.server.routes import Route
from support.browser import Browser
from support.config_files import category
from support.described_world import CODE, HEALTH, DescribedWorld, started, write
from support.page import PagePort, cells, named, press, run_page, shows

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = "<img src=x onerror='window.ran=1'>"
ADDED = "Examples added on this page"


@pytest_asyncio.fixture(loop_scope="session")
async def world(tmp_path: Path) -> AsyncIterator[DescribedWorld]:
    write(tmp_path, CODE, HEALTH, category("undescribed"))
    async with started(tmp_path) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def page(world: DescribedWorld) -> AsyncIterator[PagePort]:
    async def classifiers(_: Request) -> Response:
        return json_response({"in_use": "encoder", "config": "encoder", "promoted": None, "artifacts": []})

    tried = dry_run_route(world.generations.begin, world.generations.stored)
    async with run_page(*world.routes, tried, Route("GET", "/classifiers", classifiers)) as port:
        yield port


async def opened(browser: Browser, page: PagePort, view: str = "adapters") -> None:
    await browser.open(f"{page.url}/page/icon.svg")
    await browser.open(f"{page.url}/#{view}")


async def tried(browser: Browser, page: PagePort, text: str) -> None:
    await opened(browser, page, "try")
    await shows(browser, "Route it")
    await browser.run(
        """
        const field = document.getElementById("tried");
        field.value = arguments[0];
        field.dispatchEvent(new Event("input"));
        """,
        text,
    )
    await press(browser, "Route it")
    await shows(browser, "What is asked belongs to")


async def chosen(browser: Browser, name: str) -> list[str]:
    script: Any = """
        const select = [...document.querySelectorAll("select")].at(-1);
        select.value = arguments[0];
        select.dispatchEvent(new Event("change"));
        return [...select.options].map(one => one.value);
        """
    found: list[str] = await browser.run(script, name)
    return found


async def test_a_prompt_that_was_tried_becomes_an_example_and_is_undone_in_one_click(
    browser: Browser, page: PagePort, world: DescribedWorld
) -> None:
    await tried(browser, page, "bridge")
    assert await chosen(browser, "code") == ["", "code", "health"]
    await press(browser, "Add as an example")
    await shows(browser, "It is an example of code now")
    assert world.serves("code") == ("python", "javascript python", "bridge")
    await browser.run("location.hash = '#adapters'")
    assert await cells(browser, ADDED) == [["code", "bridge", "Undo"]]
    await press(browser, "Undo")
    await shows(browser, "Of 5 examples, each judged without itself")
    assert (world.serves("code"), world.file) == (("python", "javascript python"), "")
    assert ADDED not in await browser.text()


async def test_why_an_example_is_refused_is_said_where_it_was_added(
    browser: Browser, page: PagePort, world: DescribedWorld
) -> None:
    await tried(browser, page, "pressure")
    await chosen(browser, "code")
    await press(browser, "Add as an example")
    await shows(browser, 'no example of "code": it is an example of "health" already')
    write(world.source.path.parent, CODE, "  - {name: 7}\n")
    await tried(browser, page, "bridge")
    await chosen(browser, "code")
    await press(browser, "Add as an example")
    await shows(browser, "not reloaded, the previous config stays in use")
    assert world.file == ""


async def test_without_an_answer_nothing_is_said_to_be_added_and_it_can_be_tried_again(
    browser: Browser, page: PagePort, world: DescribedWorld
) -> None:
    await tried(browser, page, "bridge")
    await chosen(browser, "code")
    await browser.run("window.kept = window.fetch; window.fetch = () => Promise.reject(new Error('gone'))")
    await press(browser, "Add as an example")
    await shows(browser, "does not answer since")
    assert "It is an example" not in await browser.text()
    await browser.run("window.fetch = window.kept")
    await press(browser, "Add as an example")
    await shows(browser, "It is an example of code now")
    assert world.serves("code")[-1] == "bridge"


async def test_it_shows_texts_shares_neighbors_and_where_examples_go(browser: Browser, page: PagePort) -> None:
    for name, times in (("code", 3), ("law", 1)):
        page.metrics.decisions.add("classified", name, "base", "200", "", by=times)
    page.count([Record("id", "/v1/models", status=200, ended=time.time())])
    adapters = [{"name": "new-lora", "state": "served", "routed": False}]
    page.status["endpoints"] = [endpoint(adapters)]
    await opened(browser, page)
    shown = await shows(browser, "Of 5 examples, each judged without itself")
    await shows(browser, "Unrouted, as no category names them: new-lora. pointsman init --add")
    code, health = await cells(browser, "Described categories")
    assert code[:3] == ["codebase", "Answers about python.", "2"]
    assert code[-1] == "75.0 %"
    assert (health[2], health[-1]) == ("3", "0.0 %")
    assert int(health[3]) >= 1
    assert code[4].startswith("health 0.")
    assert "landlord" not in shown
    await browser.run("document.querySelector('[data-key=health]').click()")
    await shows(browser, "landlord → no category")
    assert await browser.run("return document.activeElement.dataset.key ?? ''") in ("", "health")


async def test_texts_are_text_and_each_control_has_a_name(
    browser: Browser, page: PagePort, world: DescribedWorld
) -> None:
    await world.add("code", HOSTILE)
    await opened(browser, page)
    assert HOSTILE in await shows(browser, HOSTILE)
    assert await browser.run("return [window.ran, document.images.length]") == [None, 0]
    assert ("button", "Undo") in await named(browser)


@pytest.mark.parametrize("width", [390, 1280])
async def test_it_fits_the_screen(browser: Browser, page: PagePort, width: int) -> None:
    await browser.show(width)
    try:
        await opened(browser, page)
        await shows(browser, "Of 5 examples")
        assert await browser.run("return document.documentElement.scrollWidth") <= width
    finally:
        await browser.show(1280)


async def test_where_nothing_is_described_it_says_so(browser: Browser, page: PagePort, world: DescribedWorld) -> None:
    write(world.source.path.parent, category("undescribed"))
    assert (await world.reloader.ask("request")).error is None
    await opened(browser, page)
    await shows(browser, "No category is described by texts")
    await opened(browser, page, "try")
    await shows(browser, "Route it")
    await press(browser, "Route it")
    await shows(browser, "Decision")
    assert "What is asked belongs to" not in await browser.text()


def endpoint(adapters: list[dict[str, Any]]) -> dict[str, Any]:
    state = {"reachable": True, "up": True, "key_accepted": True, "breaker": "closed", "in_flight": 0}
    return {"endpoint": "a", "base_models": [], "adapters": adapters, **state}
