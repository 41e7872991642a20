"""The view on which a prompt is tried, in a real browser, with a candidate that answers when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from pointsman.server.request import Request
from pointsman.server.response import Response, json_response
from pointsman.server.routes import Route
from support.browser import Browser
from support.page import cells, run_page, shows
from support.process import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

DECISION = {
    "model": "law-lora",
    "base_model": "base",
    "endpoints": ["a"],
    "category": "law",
    "confidence": 0.9,
    "threshold": 0.6,
    "threshold_origin": "routing.thresholds",
    "reason": "classified",
    "missed": None,
    "near": {"category": "art", "confidence": 0.5},
    "rule": None,
    "would": None,
    "reasoning": None,
    "system_prompt": None,
    "tools": False,
}
TOLD = {
    "decision": DECISION,
    "ask": {"kind": "whole", "text": "who pays", "others": [], "about": None, "steps": [], "message": None},
    "conversation": None,
    "categories": {"law": 0.9},
    "thresholds": {"law": 0.6},
    "threshold_origins": {"law": "routing.thresholds"},
    "labels": {"law": 0.9},
    "edits": [],
    "text": None,
    "timing_ms": {"parse": 0.1},
}
ARTIFACTS = [{"name": name, "path": f"/a/{name}"} for name in ("slow", "fast")]


@dataclass
class Trying:
    """The page's port, and what became of the requests for the candidate `slow`."""

    url: str = ""
    status: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)

    async def candidate(self, request: Request) -> Response:
        await request.read(5)
        name = request.head.query.partition("=")[2]
        self.asked.append(name)
        try:
            if name == "slow":
                await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.given_up.append(name)
            raise
        found = {"artifact": name, "labels": {"law": 0.8}, "categories": {"law": 0.8}, "thresholds": {"law": 0.5}}
        return json_response(found | {"decision": {"model": "m", "category": None, "reason": "low_confidence"}})


@pytest_asyncio.fixture(loop_scope="session")
async def page() -> AsyncIterator[Trying]:
    found = Trying()

    async def answer(request: Request) -> Response:
        await request.read(5)
        return json_response(TOLD)

    async def listed(_: Request) -> Response:
        return json_response({"in_use": "builtin", "config": "builtin", "promoted": None, "artifacts": ARTIFACTS})

    async def described(_: Request) -> Response:
        return json_response({"categories": []})

    routes = [
        Route("GET", "/adapters/described", described),
        Route("POST", "/route", answer),
        Route("POST", "/route/candidate", found.candidate),
        Route("GET", "/classifiers", listed),
    ]
    async with run_page(*routes) as port:
        found.url, found.status = port.url, port.status
        yield found


async def opened(browser: Browser, page: Trying) -> None:
    await browser.open(f"{page.url}/page/icon.svg")
    await browser.open(f"{page.url}/#try")
    await shows(browser, "slow")


async def tried(browser: Browser, beside: str) -> None:
    script: Any = """
        const select = document.querySelector("select");
        select.value = arguments[0];
        select.dispatchEvent(new Event("change"));
        document.querySelector("button.main").click();
        """
    await browser.run(script, beside)


async def test_another_try_takes_the_place_of_one_that_waits_for_a_candidate(browser: Browser, page: Trying) -> None:
    """The former request is given up, and nothing of it is shown; so it is when the view is left."""
    await opened(browser, page)
    await tried(browser, "slow")
    await shows(browser, "is loaded and reads the text")
    await eventually(lambda: page.asked == ["slow"], "the candidate is asked")
    await tried(browser, "fast")
    shown = await shows(browser, "low_confidence")
    await eventually(lambda: page.given_up == ["slow"], "the former request has ended")
    assert "does not answer" not in shown
    assert await browser.run("return document.querySelector('[role=alert]').textContent") == ""
    await tried(browser, "slow")
    await eventually(lambda: page.asked[2:] == ["slow"], "the candidate is asked")
    await browser.run("location.hash = '#compare'")
    await eventually(lambda: page.given_up == ["slow", "slow"], "the request has ended")


async def test_a_candidate_that_is_late_is_told_in_words_of_its_own(browser: Browser, page: Trying) -> None:
    await opened(browser, page)
    await browser.run(
        """
        const real = AbortSignal.timeout.bind(AbortSignal);
        AbortSignal.timeout = ms => ms > 60_000 ? AbortSignal.abort("late") : real(ms);
        """
    )
    await tried(browser, "slow")
    shown = await shows(browser, "The candidate is still loading; try again")
    assert "law-lora" in shown
    assert "the service does not answer" not in shown


async def test_it_names_the_threshold_that_counted_and_what_is_near(browser: Browser, page: Trying) -> None:
    await opened(browser, page)
    await tried(browser, "")
    shown = await shows(browser, "art (0.50)")
    assert "0.900, threshold 0.6 by routing.thresholds" in shown
    assert await cells(browser, "Categories") == [["law", "", "0.900", "0.6", "routing.thresholds"]]


async def test_both_errors_of_each_threshold_are_shown_in_use_and_at_95_of_100(browser: Browser, page: Trying) -> None:
    """As `pointsman check` shows them; a share of no rows is none."""
    reach = {"part": 1, "whole": 2, "low": 0.095, "high": 0.905}
    none = {"part": 0, "whole": 0, "low": 0, "high": 1}
    used, stated = {"threshold": 0.5, "reach": reach, "precision": reach}, {"reach": reach, "precision": none}
    answer = {
        "category": "law",
        "origin": "routing.precision",
        **used,
        "at_precision": {"threshold": 0.875, "origin": "routing.precision is not reached", **stated},
    }
    page.status["thresholds"] = [answer]
    await opened(browser, page)
    half = "50 % (10 to 91) of 2"
    assert await cells(browser, "Thresholds") == [
        ["law", "0.5", half, half, "routing.precision", "0.875 (not reached)", half, "–"]
    ]
