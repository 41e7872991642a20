"""The view of the latest decisions in a real browser."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from pointsman.classify.classifier import Classification, Timing
from pointsman.config.model import LogOptions
from pointsman.observability.kept_rows import Row
from pointsman.observability.log import Log
from pointsman.observability.record import Record
from pointsman.observability.texts import KeptTexts
from pointsman.routing.decision import Decision, Missed, Reason
from pointsman.routing.edits import Edited, Edits
from pointsman.routing.reading import Reading
from pointsman.routing.router import Routed
from support.browser import Browser
from support.log import Memory
from support.page import PagePort, cells, press, run_page, shows, sizes
from support.process import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = "<img src=x onerror='window.ran=1'>"
TABLE = "Decisions, the newest first"


@pytest_asyncio.fixture(loop_scope="session")
async def port() -> AsyncIterator[PagePort]:
    async with run_page() as found:
        yield found


def decided(name: str, category: str = "legal", reason: Reason = Reason.CLASSIFIED, **fields: Any) -> Record:
    """A request that has ended, for one model of each category."""
    missed = Missed("legal", 0.62) if reason is Reason.LOW_CONFIDENCE else None
    decision = Decision(f"{category}-lora", "base", (), category, 0.875, reason, Edits(), missed=missed)
    record = Record(name, "/v1/chat/completions", status=200, original_model="MoM", ended=time.time(), **fields)
    record.routed = Routed(decision, Edited(b""), 0.0)
    return record


def many(number: int, start: int = 0) -> Iterator[Record]:
    for place in range(start, start + number):
        yield decided(f"id-{place}", ("legal", "technical")[place % 2], key=("ann", "ben", "eve")[place % 3])


async def choose(browser: Browser, label: str, text: str) -> None:
    """Choose an option, by the beginning of what it says."""
    await browser.run(
        """
        const [label] = [...document.querySelectorAll("label")].filter(one => one.textContent.startsWith(arguments[0]));
        const [option] = [...label.control.options].filter(one => one.text.startsWith(arguments[1]));
        label.control.value = option.value;
        label.control.dispatchEvent(new Event("change"));
        """,
        label,
        text,
    )


async def test_decisions_appear_as_they_are_made_the_newest_first(browser: Browser, port: PagePort) -> None:
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "None so far")
    port.count([decided("first"), decided("second", reason=Reason.LOW_CONFIDENCE, key="ann", first_byte=0.25)])
    await shows(browser, "second")
    port.count([Record("third", "other", status=404, ended=time.time(), error="GET /x: Not Found")])
    await shows(browser, "third")
    rows = [row[2:] for row in await cells(browser, TABLE)]
    assert [row[-1] for row in rows] == ["third", "second", "first"]
    assert rows[1][:7] == ["low_confidence legal below 0.62", "legal", "0.875", "legal-lora", "MoM", "ann", "200"]
    assert rows[1][7] == "250 ms"
    assert rows[0][0] == "GET /x: Not Found"


async def test_they_are_chosen_by_category_reason_model_and_key(browser: Browser, port: PagePort) -> None:
    port.count(many(12))
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "12 of the last 12")
    await choose(browser, "Category", "legal")
    await shows(browser, "6 of the last 12")
    await choose(browser, "Key", "ann")
    await shows(browser, "2 of the last 12")
    assert [(row[3], row[7]) for row in await cells(browser, TABLE)] == [("legal", "ann")] * 2
    port.count(many(6, 12))
    await shows(browser, "3 of the last 18")
    await choose(browser, "Key", "any")
    await shows(browser, "9 of the last 18")


async def test_a_pause_holds_what_is_shown(browser: Browser, port: PagePort) -> None:
    port.count(many(3))
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "id-2")
    await press(browser, "Pause")
    port.count(many(1, 3))
    await browser.run(
        "document.dispatchEvent(new Event('visibilitychange')); await new Promise(done => setTimeout(done, 300))"
    )
    assert len(await cells(browser, TABLE)) == 3
    await press(browser, "Pause")
    await shows(browser, "id-3")


async def longest(browser: Browser, url: str) -> float:
    """The longest time for which the page did nothing else, in ms, while it showed 500 decisions and 500 others."""
    await browser.open(f"{url}/page/icon.svg")
    await browser.open(f"{url}/#decisions")
    await browser.run(
        """
        window.long = [0];
        const watch = new PerformanceObserver(list => window.long.push(...list.getEntries().map(one => one.duration)));
        watch.observe({type: "longtask", buffered: true});
        """
    )
    await shows(browser, "500 of the last 10,000")
    await press(browser, "Older")
    await shows(browser, "500 older ones")
    found: float = await browser.run("return Math.max(...window.long)")
    return found


async def test_ten_thousand_decisions_are_shown_in_parts_without_a_stall(browser: Browser, port: PagePort) -> None:
    """The shortest of three runs counts, as other processes have their share of the time."""
    port.count(many(10_000))
    assert min([await longest(browser, port.url) for _ in range(3)]) < 250
    await browser.open(f"{port.url}/page/icon.svg")
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "500 of the last 10,000")
    port.count(many(700, 10_000))
    await shows(browser, "id-10699")
    await choose(browser, "Key", "ben")
    await shows(browser, "id-10699" if 10_699 % 3 == 1 else "id-10698")
    await choose(browser, "Key", "any")
    await shows(browser, "500 of the last 10,000")
    await press(browser, "Older")
    shown = await shows(browser, "500 older ones")
    assert "id-10199" in shown
    assert "id-10200" not in shown
    await press(browser, "Pause")
    await shows(browser, "id-10699")
    assert await browser.run("return document.querySelectorAll('*').length") < 9_000


async def test_what_clients_write_is_text_and_no_script_runs(browser: Browser, port: PagePort) -> None:
    record = decided(HOSTILE, HOSTILE, key=HOSTILE, endpoint=HOSTILE, error=HOSTILE)
    record.original_model = HOSTILE
    port.count([record])
    await browser.open(f"{port.url}/#decisions")
    shown = await shows(browser, HOSTILE)
    assert shown.count(HOSTILE) >= 4
    await choose(browser, "Category", HOSTILE)
    await shows(browser, "1 of the last 1")
    assert await browser.run("return [window.ran, document.images.length]") == [None, 0]


async def shown_columns(browser: Browser) -> list[str]:
    found: list[str] = await browser.run(
        "return [...document.querySelectorAll('thead th')].filter(one => one.offsetWidth).map(one => one.innerText)"
    )
    return found


async def test_texts_are_shown_as_text_where_they_are_kept_and_else_there_is_no_place_for_them(
    browser: Browser, port: PagePort, tmp_path: Path
) -> None:
    def with_text(name: str) -> Record:
        record = decided(name)
        read = Classification((1.0,), 1, False, Timing(), "run", text_hash=f"{hash(name) % 2**32:08x}")
        assert record.routed is not None
        record.routed = msgspec.structs.replace(record.routed, reading=Reading(name, read))
        if port.texts is not None:
            port.texts.keep(Row(hash=read.text_hash, text=f"{name} asks: {HOSTILE} ann@example.org"))
        return record

    port.count([with_text("id-off")])
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "id-off")
    assert "Text" not in await shown_columns(browser)
    port.texts = KeptTexts(LogOptions(texts_file=str(tmp_path / "texts")), Log("info", Memory()), lambda: None)
    record = with_text("id-on")
    kept = port.texts
    await eventually(lambda: not kept._writer._size, "it is written")
    port.count([record])
    shown = await shows(browser, f"id-on asks: {HOSTILE}")
    assert "ann@" not in shown
    assert "Text" in await shown_columns(browser)
    assert await browser.run("return [window.ran, document.images.length]") == [None, 0]
    kept.close()


async def test_a_long_run_does_not_grow(browser: Browser, port: PagePort) -> None:
    await browser.open(f"{port.url}/#decisions")
    found = []
    for turn in range(3):
        for part in range(4):
            port.count(many(200, turn * 800 + part * 200))
            found.append(await sizes(browser, 10))
    # What is garbage is not always found at once, so the least of several counts.
    before, after = (
        {name: min(one[name] for one in part) for name in ("Nodes", "JSHeapUsedSize", "JSEventListeners")}
        for part in (found[3:8], found[8:])
    )
    assert await browser.run("return document.querySelectorAll('*').length") < 9_000
    assert after["Nodes"] <= 1.2 * before["Nodes"]
    assert after["JSHeapUsedSize"] <= 1.2 * before["JSHeapUsedSize"]
    assert after["JSEventListeners"] <= before["JSEventListeners"]


async def test_the_views_are_reached_by_keyboard(browser: Browser, port: PagePort) -> None:
    await browser.open(port.url)
    await shows(browser, "By category")
    focused = "return document.activeElement.textContent"
    seen = []
    while "Decisions" not in seen:
        await browser.press("Tab")
        seen.append(await browser.run(focused))
        assert len(seen) < 10
    assert seen[0] == "Skip to the view"
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert await browser.run(outline) == "solid"
    await browser.press("Enter", text="\r")
    await shows(browser, "Older")
    assert await browser.run("return document.activeElement.id") == "main"
    await browser.press("Tab")
    assert await browser.run("return document.activeElement.labels[0].firstChild.data") == "Category"


async def test_each_control_has_a_name(browser: Browser, port: PagePort) -> None:
    port.count(many(3))
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "id-2")
    tree = (await browser.devtools("Accessibility.getFullAXTree"))["nodes"]
    shown = [(node["role"]["value"], node["name"]["value"]) for node in tree if not node["ignored"] and "name" in node]
    controls = [one for one in shown if one[0] in {"button", "link", "combobox", "table", "navigation"}]
    assert [name for _, name in controls if not name.strip()] == []
    assert {"Category", "Reason", "Model", "Key", "Pause", "Older", TABLE} <= {name for _, name in controls}
