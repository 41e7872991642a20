"""The page at an admin port in the test's own process, about requests that the test makes up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from pointsman.api.admin_guard import guarded
from pointsman.api.decisions import decisions_route
from pointsman.api.one_request import request_route
from pointsman.api.page.files import page_routes
from pointsman.api.traffic import traffic_routes
from pointsman.experiments.running import Experiments, experiments_route
from pointsman.improve.texts_file import TextsFile
from pointsman.observability.latest import LatestRequests
from pointsman.observability.log import Log
from pointsman.observability.metrics import Metrics
from pointsman.observability.record import Record
from pointsman.observability.traffic import Traffic
from pointsman.server.byte_budget import ByteBudget
from pointsman.server.client import TrustedProxies
from pointsman.server.hosts import AllowedHosts
from pointsman.server.limits import ConnectionLimits
from pointsman.server.listener import Listener
from pointsman.server.request import Request
from pointsman.server.response import Response, json_response
from pointsman.server.routes import Route, Routes
from support.browser import Browser
from support.log import Memory
from support.process import PATIENCE_SECONDS, reserve_port

STATUS: dict[str, Any] = {
    "version": "0.2.0",
    "trouble": None,
    "uptime_s": 61,
    "config": {"generation": 1, "reload_failed": None},
    "in_flight": 0,
    "held": 0,
    "models": [],
    "endpoints": [],
    "classifier": {
        "artifact": "toy",
        "precision": "int8",
        "healthy": True,
        "queued": 0,
        "cache": {"hits": 0, "misses": 0, "coalesced": 0},
    },
    "routing": {"mode": "on", "percent": None, "overridden": False, "until": None},
    "shadow": None,
    "thresholds": [],
    "traffic": {"run_ms": {"p50": None, "p95": None}},
    "unwell": [],
}

CONTROLS = {"button", "link", "textbox", "searchbox", "combobox", "checkbox", "table", "navigation", "image"}


@dataclass
class PagePort:
    """The port of the page; the lines of requests are in the log's memory as long as `logged`."""

    url: str
    metrics: Metrics
    traffic: Traffic
    latest: LatestRequests
    experiments: Experiments = field(default_factory=Experiments)
    texts: TextsFile | None = None
    log: Log = field(default_factory=lambda: Log("info", Memory()))
    logged: bool = True
    status: dict[str, Any] = field(default_factory=lambda: dict(STATUS))

    def count(self, records: Iterable[Record]) -> None:
        for record in records:
            self.metrics.count(record)
            if self.logged:
                self.log.soon(record)


@contextlib.asynccontextmanager
async def run_page(*more: Route, address: str | None = None, since: float | None = None) -> AsyncIterator[PagePort]:
    """Listen on 127.0.0.1 while the block lasts; `more` are routes in addition to those of the page and its data.

    `since` is the beginning of the traffic, in seconds since the epoch.
    """
    address = address or f"127.0.0.1:{reserve_port()}"
    metrics = Metrics(frozenset({"base"}))
    found = PagePort(f"http://{address}", metrics, Traffic(metrics, since), LatestRequests(metrics.settle))

    def counted(records: list[Record]) -> None:
        found.latest.add(records)
        found.experiments.add(records)

    metrics.counted = counted

    async def status(_: Request) -> Response:
        return json_response(found.status)

    table = Routes(
        [
            *page_routes(),
            *traffic_routes(found.traffic, found.latest),
            request_route(lambda: cast("Any", SimpleNamespace(log=found.log, requests=found.logged))),
            decisions_route(found.latest, lambda: found.texts),
            experiments_route(found.experiments, metrics),
            Route("GET", "/status", status),
            *more,
        ]
    )
    limits = ConnectionLimits(5.0, 60.0, 2**20, 100, 0, TrustedProxies())
    handler = guarded(table, lambda: AllowedHosts([address]), lambda: None, lambda: False)
    listener = Listener(handler, lambda: limits, lambda _: None, lambda _: None, ByteBudget(2**22))
    await listener.listen(address)
    try:
        yield found
    finally:
        await listener.drain(0.0, asyncio.Event())


async def shows(browser: Browser, text: str) -> str:
    """Wait until the page shows a text; all that it shows."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while text not in (shown := await browser.text()):  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.1)
    return shown


async def press(browser: Browser, name: str) -> None:
    """Click a button, as soon as it is enabled and the click before has been answered: until then none counts."""
    script = """
        const button = [...document.querySelectorAll("button")].find(one => one.textContent === arguments[0]);
        const counts = button && !button.disabled && document.querySelector("[aria-busy]") === null;
        if (counts) {
            button.click();
        }
        return Boolean(counts);
        """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await browser.run(script, name):  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.05)


async def cells(browser: Browser, caption: str) -> list[list[str]]:
    """The rows of a table, by its caption, once it is shown: parts of a view come with answers of their own."""
    script = """
        const all = [...document.querySelectorAll("table")];
        const [table] = all.filter(one => one.caption.textContent === arguments[0]);
        return table && [...table.tBodies[0].rows].map(row => [...row.cells].map(cell => cell.textContent));
        """
    found: list[list[str]] | None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await browser.run(script, caption)
            if found is not None:
                return found
            await asyncio.sleep(0.1)


async def named(browser: Browser) -> list[tuple[str, str]]:
    """Return role and name of what the page shows, in which each control must have a name."""
    tree = (await browser.devtools("Accessibility.getFullAXTree"))["nodes"]
    shown = [(node["role"]["value"], node["name"]["value"]) for node in tree if not node["ignored"] and "name" in node]
    assert [role for role, name in shown if role in CONTROLS and not name.strip()] == []
    return shown


async def sizes(browser: Browser, answers: int) -> dict[str, float]:
    """Return the page's nodes, listeners and heap after more answers; it asks anew when shown, as timers do."""
    await browser.run(
        """
        let asked = 0;
        const fetched = window.fetch;
        window.fetch = (...all) => { asked += 1; return fetched(...all); };
        while (asked < arguments[0]) {
            document.dispatchEvent(new Event("visibilitychange"));
            await new Promise(done => setTimeout(done, 5));
        }
        window.fetch = fetched;
        """,
        answers,
    )
    await browser.devtools("Performance.enable")
    before, after = await _collected(browser), await _collected(browser)
    while before["Nodes"] != after["Nodes"]:  # some garbage is found only the second time
        before, after = after, await _collected(browser)
    return after


async def _collected(browser: Browser) -> dict[str, float]:
    await browser.devtools("HeapProfiler.collectGarbage")
    found = (await browser.devtools("Performance.getMetrics"))["metrics"]
    return {one["name"]: one["value"] for one in found}
