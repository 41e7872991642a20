"""The view of experiments in a real browser."""

from __future__ import annotations

from typing import Any

import pytest

from pointsman.config.model import Canary, CategoryRollout, Lora, Model, RoutingOptions
from support.browser import Browser
from support.page import PagePort, cells, shows
from support.toy_config import config

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = "<img src=x onerror='window.ran=1'>"
SHADOW: dict[str, Any] = {
    "artifact": HOSTILE,
    "state": "stopped",
    "error": "it needed more than 60 s",
    "compared": 200,
    "agreed": {"texts": 150, "share": 0.75, "low": 0.686, "high": 0.805},
    "rerouted": {"texts": 20, "share": 0.1, "low": 0.066, "high": 0.149},
    "confidence_difference": -0.02,
    "pairs": [{"category": None, "shadow": "legal", "texts": 50}],
    "waiting": 0,
    "shed": 3,
    "failed": 1,
}


async def test_without_an_experiment_the_view_says_so_and_has_no_empty_part(browser: Browser, port: PagePort) -> None:
    await browser.open(f"{port.url}/#compare")
    shown = await shows(browser, "No experiment: no category has a canary")
    assert "No request was kept from the model that was chosen" in shown
    assert "No classifier in shadow" in await shows(browser, "classifier.shadow names no artifact")
    assert await browser.run("return [...document.querySelectorAll('.panel')].filter(one => !one.hidden).length") == 0


async def test_both_sides_are_shown_with_what_is_certain(browser: Browser, port: PagePort) -> None:
    routing = RoutingOptions(categories={"legal": CategoryRollout(canary=Canary(adapter=HOSTILE, percent=20.0))})
    made = config(routing=routing, base=Model(loras=(Lora(name=HOSTILE),)))
    port.experiments.follow(made, routing)
    (found,) = port.experiments._found.values()
    for number in range(400):
        for side, failed, first_byte in zip(
            found.sides, (number % 2 == 0, False), (300.0 + number, 200.0), strict=True
        ):
            side.add(f"legal {number}", failed=failed, first_byte=first_byte, tokens=100 + number, cost=0.0)
            side.rate(f"legal {number}", float(side is found.sides[1]), ("odd", None)[number % 2], f"{number % 3}")
            side.rate(f"legal {number}", None, "constructor" if side is found.sides[0] else None, f"{number % 3}")
    port.metrics.withheld.add("holdback", "legal", HOSTILE)
    port.status["shadow"] = SHADOW
    await browser.open(f"{port.url}/#compare")
    shown = await shows(browser, "stable fails less often than canary")
    assert "stable begins to answer sooner than canary" in shown
    rows = {row[0]: row[1:] for row in await cells(browser, f"Canary {HOSTILE} in legal")}
    assert rows["Conversations"] == ["400", "400"]
    assert rows["Failed"] == ["50.0 % (45.1 % to 54.9 %)", "0.0 % (0.0 % to 1.0 %)"]
    assert rows["Authors of feedback"] == ["3", "3"]
    assert rows["Feedback"] == ["0 good, 400 bad", "400 good, 0 bad"]
    assert rows["Score, mean"] == ["0.00 (0.00 to 0.00)", "1.00 (1.00 to 1.00)"]
    assert rows["Labeled odd"] == ["50.0 % (45.1 % to 54.9 %)", "100.0 % (98.1 % to 100.0 %)"]
    assert rows["Labeled constructor"] == ["100.0 % (99.0 % to 100.0 %)", "0.0 % (0.0 % to 1.9 %)"]
    assert "stable is scored higher than canary" in shown
    assert rows["First byte, mean"][1] == "200 ms (200 ms to 200 ms)"
    assert (await cells(browser, "Kept back by shadow and holdback"))[0][:3] == [HOSTILE, "legal", "holdback"]
    shown = await shows(browser, "it needed more than 60 s")
    assert "75.0 % (68.6 % to 80.5 %)" in shown
    assert await cells(browser, "Where they differ") == [["default", "legal", "", "50"]]
    assert await browser.run("return [window.ran, document.images.length]") == [None, 0]
