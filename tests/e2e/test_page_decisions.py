"""The view of the latest decisions in a real browser."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pointsman.classify.classification import Classification, Timing
from pointsman.config.model import LogOptions
from pointsman.improve.texts_file import TextRecord, TextsFile
from pointsman.observability.log import Log
from pointsman.observability.record import Record
from pointsman.routing.ask import Ask, AskKind, AskStep
from pointsman.routing.decision import CategoryChoice, Decision, MissedThreshold, Reason
from pointsman.routing.edits import EditedBody, Edits
from pointsman.routing.reading import AskClassification
from pointsman.routing.router import RoutedRequest
from pointsman.routing.selector import ModelSelection
from pointsman.routing.thresholds import Threshold, ThresholdOrigin
from support.browser import Browser
from support.log import Memory
from support.page import PagePort, cells, named, press, shows, sizes
from support.process import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = "<img src=x onerror='window.ran=1'>"
TABLE = "Decisions, the newest first"
LONG = "customer-support-for-the-german-market-with-a-long-name-v3"


def decided(name: str, category: str = "legal", reason: Reason = Reason.CLASSIFIED, **fields: Any) -> Record:
    """A request that has ended, for one model of each category."""
    missed = MissedThreshold("legal", 0.62) if reason is Reason.LOW_CONFIDENCE else None
    decision = Decision(f"{category}-lora", "base", (), category, 0.875, reason, Edits(), missed=missed)
    line: dict[str, Any] = {"status": 200, "original_model": "MoM", "ended": time.time()} | fields
    record = Record(name, "/v1/chat/completions", **line)
    record.routed = RoutedRequest(decision, EditedBody(b""), 0.0)
    return record


def many(number: int, start: int = 0) -> Iterator[Record]:
    """Requests of which each has ended a second after the one before."""
    for at in range(start, start + number):
        category, key = ("legal", "technical")[at % 2], ("ann", "ben", "eve")[at % 3]
        yield decided(f"id-{at}", category, key=key, ended=float(at))


def clock(at: float) -> str:
    """A time as the list has it, as that at which the request at this place among `many` has ended."""
    return time.strftime("%H:%M:%S", time.gmtime(at))


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


async def hash_of(browser: Browser) -> str:
    found: str = await browser.run("return location.hash")
    return found


async def test_decisions_appear_as_they_are_made_the_newest_first(browser: Browser, port: PagePort) -> None:
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "None so far")
    port.count([decided("first"), decided("second", reason=Reason.LOW_CONFIDENCE, key="ann", seconds=1.5)])
    await shows(browser, "low_confidence")
    port.count([Record("third", "other", status=404, ended=time.time(), error="GET /x: Not Found")])
    await shows(browser, "Not Found")
    rows = [row[1:] for row in await cells(browser, TABLE)]
    assert [row[0] for row in rows] == ["", "legal-lora", "legal-lora"]
    assert rows[1] == ["legal-lora", "low_confidence legal below 0.62", "legal", "0.875", "ann", "", "200", "1.5 s"]
    assert rows[0][1] == " GET /x: Not Found"


async def test_they_are_chosen_by_model_reason_category_and_key(browser: Browser, port: PagePort) -> None:
    port.count(many(12))
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "12 of the last 12")
    await choose(browser, "Category", "legal")
    await shows(browser, "6 of the last 12")
    await choose(browser, "Key", "ann")
    await shows(browser, "2 of the last 12")
    assert [(row[3], row[5]) for row in await cells(browser, TABLE)] == [("legal", "ann")] * 2
    port.count(many(6, 12))
    await shows(browser, "3 of the last 18")
    await choose(browser, "Key", "any")
    await shows(browser, "9 of the last 18")


async def test_a_pause_holds_what_is_shown(browser: Browser, port: PagePort) -> None:
    port.count(many(3))
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "3 of the last 3")
    await press(browser, "Pause")
    port.count(many(1, 3))
    await browser.run(
        "document.dispatchEvent(new Event('visibilitychange')); await new Promise(done => setTimeout(done, 300))"
    )
    assert len(await cells(browser, TABLE)) == 3
    await press(browser, "Pause")
    await shows(browser, "4 of the last 4")


@pytest.mark.long
async def test_of_ten_thousand_decisions_at_most_500_are_drawn_at_once(browser: Browser, port: PagePort) -> None:
    """The page draws at most 500 rows in one task, and keeps no more; what a row takes depends on the host."""
    port.count(many(10_000))
    await browser.open(f"{port.url}/page/icon.svg")
    await browser.open(f"{port.url}/#decisions")
    await browser.run(
        """
        window.drawn = [];
        const added = change => [...change.addedNodes].filter(node => node.nodeName === "TR");
        new MutationObserver(changes => window.drawn.push(changes.flatMap(added).length))
            .observe(document.body, {childList: true, subtree: true});
        """
    )
    port.count(many(700, 10_000))
    await shows(browser, clock(10_699))
    await choose(browser, "Key", "ben")
    await shows(browser, clock(10_699 if 10_699 % 3 == 1 else 10_698))
    await choose(browser, "Key", "any")
    await shows(browser, "500 of the last 10,000")
    await press(browser, "Older")
    shown = await shows(browser, "500 older ones")
    assert clock(10_199) in shown
    assert clock(10_200) not in shown
    assert await browser.run("return Math.max(...window.drawn)") == 500
    await press(browser, "Pause")
    await shows(browser, clock(10_699))
    assert await browser.run("return document.querySelectorAll('*').length") < 9_000


# --- what stands in the address -------------------------------------------------------------------------------------


async def test_filters_stand_in_the_address_and_survive_a_reload_and_the_way_back(
    browser: Browser, port: PagePort
) -> None:
    port.count([*many(12), decided("failed", status=502, key="ann"), decided("busy", status=503, key="ann")])
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "14 of the last 14")
    await browser.run("document.querySelectorAll('select')[3].focus()")
    await choose(browser, "Key", "ann")
    await shows(browser, "6 of the last 14")
    await choose(browser, "Status", "5xx")
    await shows(browser, "2 of the last 14")
    assert await hash_of(browser) == "#decisions?key=ann&status=5xx"
    assert await browser.run("return document.activeElement.labels[0].firstChild.data") == "Key"
    await browser.run("location.reload()")
    await shows(browser, "2 of the last 14")
    chosen = "return [...document.querySelectorAll('select')].map(one => one.value)"
    assert await browser.run(chosen) == ["any", "any", "any", "=ann", "=5xx"]
    await choose(browser, "Status", "502")
    await shows(browser, "1 of the last 14")
    for back in ("2 of the last 14", "6 of the last 14", "14 of the last 14"):
        await browser.run("history.back()")
        await shows(browser, back)
    assert await browser.run(chosen) == ["any"] * 5
    await browser.run("history.go(2)")
    await shows(browser, "2 of the last 14")
    await browser.run("[...document.querySelectorAll('a')].find(one => one.textContent === 'Clear').click()")
    await shows(browser, "14 of the last 14")
    assert await hash_of(browser) == "#decisions"


async def test_an_address_is_a_link_also_to_what_there_is_not_or_cannot_be(browser: Browser, port: PagePort) -> None:
    port.count(many(12))
    await browser.open(f"{port.url}/#decisions?key=&after=900&model=legal-lora")
    await shows(browser, "None of the last 12")
    await browser.run("location.hash = '#decisions?model=gone%26key%3D%3F'")
    await shows(browser, "gone&key=? (0)")
    await browser.run("location.hash = '#decisions?status=4004'")
    await shows(browser, "the query cannot be used")
    assert await browser.run("return document.getElementById('state').className") == "state good"
    await browser.run("location.hash = '#decisions?model=legal-lora'")
    await shows(browser, "6 of the last 12")
    await browser.run("location.hash = '#nothing?model=legal-lora'")
    await shows(browser, "Classifier and routing")


async def test_two_hundred_adapters_are_there_to_choose_from(browser: Browser, port: PagePort) -> None:
    port.count(decided(f"id-{number}", f"adapter-{number:03}") for number in range(200))
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "200 of the last 200")
    await choose(browser, "Model", "adapter-137-lora")
    await shows(browser, "1 of the last 200")
    assert await hash_of(browser) == "#decisions?model=adapter-137-lora"


async def test_after_a_restart_the_list_begins_anew(browser: Browser, port: PagePort) -> None:
    port.count(many(12))
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "12 of the last 12")
    port.metrics.settle()
    port.latest._requests.clear()
    port.latest._count = 0
    port.count(many(2, 500))
    await shows(browser, "2 of the last 2")
    assert len(await cells(browser, TABLE)) == 2


# --- rows that open -------------------------------------------------------------------------------------------------


async def opened(browser: Browser, number: int = 0) -> str:
    """What the row at this place shows when it is opened by a click."""
    await browser.run("document.querySelectorAll('tbody td.why')[arguments[0]].click()", number)
    return await shows(browser, "Only this request")


async def test_a_row_opens_to_all_that_the_log_has(browser: Browser, port: PagePort) -> None:
    record = decided("first", key="ann", client="10.0.3.4", endpoint="vllm-primary", tokens=(231, 87), seconds=1.5)
    record.phases = {"parse": 0.0004, "upstream": 1.25}
    assert record.routed is not None
    ask = Ask("Who pays?", AskKind.ASK, steps=(AskStep("taken", 10, 52),))
    choice = CategoryChoice("legal", 0.875, Reason.CLASSIFIED, threshold=Threshold(0.5, ThresholdOrigin.COMMON))
    record.routed = msgspec.structs.replace(record.routed, ask=ask, selection=ModelSelection(choice))
    port.count([record])
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "1 of the last 1")
    shown = await opened(browser)
    for name, value in (
        ("Id", "first"),
        ("Client", "10.0.3.4"),
        ("Endpoint", "vllm-primary"),
        ("Asked for", "MoM"),
        ("Prompt tokens", "231"),
        ("Answer tokens", "87"),
        ("Score", "0.875"),
        ("Threshold", "0.5"),
        ("Threshold by", "category_model.threshold"),
        ("Ask, by character", "taken 10–52"),
        ("Upstream", "1.3 s"),
    ):
        assert re.search(rf"{name}\s+{re.escape(value)}\n", shown), name
    known = json.loads(port.log.requests()[-1])
    labels = await browser.run("return document.querySelectorAll('.opened dt').length")
    assert labels == len(known.keys() - {"level", "event", "ms"}), "a field of the log is not shown"


async def test_a_row_opens_and_closes_by_keyboard_and_holds_the_list(browser: Browser, port: PagePort) -> None:
    port.count(many(3))
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "3 of the last 3")
    expanded = "return document.activeElement.getAttribute('aria-expanded')"
    await browser.run("document.querySelector('tbody button').focus()")
    await browser.press("Enter", text="\r")
    await shows(browser, "3 of the last 3, held while one is open")
    await shows(browser, "Only this request")
    assert await browser.run(expanded) == "true"
    controlled = "document.getElementById(document.activeElement.getAttribute('aria-controls'))"
    assert await browser.run(f"return {controlled}.className") == "opened"
    port.count(many(1, 3))
    await browser.run("document.dispatchEvent(new Event('visibilitychange'))")
    await browser.press(" ", text=" ")
    await shows(browser, "4 of the last 4")
    assert await browser.run(expanded) == "false"
    assert await browser.run("return document.querySelector('.opened')") is None


async def test_an_id_in_the_address_is_opened(browser: Browser, port: PagePort) -> None:
    port.count(many(12))
    await browser.open(f"{port.url}/#decisions?id=id-7")
    shown = await shows(browser, "Asked for")
    assert "1 of the last 12" in shown
    assert "Only this request" not in shown
    await browser.run("location.hash = '#decisions?id=id-1'")
    await shows(browser, "3 of the last 12")


async def test_where_the_log_has_no_line_it_is_said_and_the_summary_shown(browser: Browser, port: PagePort) -> None:
    port.logged = False
    port.count([decided("first", key="ann", endpoint="vllm-primary", first_byte=0.25)])
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "1 of the last 1")
    shown = await opened(browser)
    assert "The service writes no lines of requests (log.requests or log.level)" in shown
    assert re.search(r"Endpoint\s+vllm-primary\n", shown)
    assert re.search(r"First byte\s+250 ms\n", shown)
    port.logged = True
    port.count([decided("other")])
    await browser.run("location.hash = '#decisions?id=first'")
    shown = await shows(browser, "in memory, none is of this request")
    assert "pointsman why first LOG, where LOG is what the service wrote to stderr" in shown
    await browser.run("location.hash = '#decisions?id=nobody'")
    await shows(browser, "pointsman why nobody LOG")
    assert "None of the last 2" in await browser.text()
    port.count([decided("nobody")])
    assert "pointsman why nobody LOG" not in await shows(browser, "1 of the last 3")


async def test_of_an_id_that_came_twice_each_row_has_its_own_line(browser: Browser, port: PagePort) -> None:
    """Clients may send an id of their own, and again."""
    port.count([decided("same", client="10.0.0.1", ended=1.0), decided("same", client="10.0.0.2", ended=2.0)])
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "2 of the last 2")
    shown = await opened(browser, 1)
    assert "10.0.0.1" in shown
    assert "10.0.0.2" not in shown


async def test_a_row_of_feedback_or_of_another_path_says_what_it_is(browser: Browser, port: PagePort) -> None:
    records = [Record("id-1", "/v1/feedback", status=200, ended=1.0, key="ann")]
    records += [Record("id-2", "/v1/feedback", status=404, ended=2.0, error="there is no answer to judge")]
    records += [Record("id-3", "/v1/models", status=200, ended=3.0)]
    records += [Record("id-4", "/v1/chat/completions", status=404, ended=4.0, original_model="gpt-4", error="no gpt-4")]
    port.count(records)
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "4 of the last 4")
    assert [row[1:3] for row in await cells(browser, TABLE)] == [
        ["gpt-4", " no gpt-4"],
        ["", "/v1/models"],
        ["", "feedback there is no answer to judge"],
        ["", "feedback"],
    ]
    assert "/v1/feedback" in await opened(browser, 3)


# --- what fits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("texts", [False, True], ids=["without texts", "with texts"])
async def test_it_fits_and_what_matters_first_is_in_sight(
    browser: Browser, port: PagePort, tmp_path: Path, width: int, *, texts: bool
) -> None:
    if texts:
        port.texts = TextsFile(LogOptions(texts_file=str(tmp_path / "texts")), Log("info", Memory()), lambda: None)
        port.texts.keep(TextRecord(hash="0" * 8, text=f"{LONG} " * 20))
    record = decided(LONG, LONG, Reason.LOW_CONFIDENCE, key=LONG, error=LONG, endpoint=LONG, seconds=1.5)
    assert record.routed is not None
    read = Classification((1.0,), 1, False, Timing(), "run", text_hash="0" * 8)
    record.routed = msgspec.structs.replace(record.routed, reading=AskClassification("", read))
    if (texts_file := port.texts) is not None:
        await eventually(lambda: not texts_file._file._writer._size, "it is written")
    port.count([record])
    await browser.show(width)
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "1 of the last 1")
    found = await browser.run(
        """
        const inside = one => {
            const box = one.getBoundingClientRect();
            return box.width > 8 && box.left >= 0 && box.right <= innerWidth;
        };
        const sides = () => [document.documentElement, document.querySelector(".scroll")].map(
            one => one.scrollWidth - one.clientWidth);
        const kinds = ["when", "model", "why", "category", "score", "status", "whole"];
        return [sides(), kinds.filter(kind => !inside(document.querySelector(`tbody .${kind}`)))];
        """
    )
    assert found == [[0, 0], []]
    await opened(browser)
    assert await browser.run("return document.documentElement.scrollWidth") == width
    await browser.show(1280)
    if port.texts is not None:
        port.texts.close()


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
        record.routed = msgspec.structs.replace(record.routed, reading=AskClassification(name, read))
        if port.texts is not None:
            port.texts.keep(TextRecord(hash=read.text_hash, text=f"{name} asks: {HOSTILE} ann@example.org"))
        return record

    port.count([with_text("id-off")])
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "1 of the last 1")
    assert "Text" not in await shown_columns(browser)
    port.texts = TextsFile(LogOptions(texts_file=str(tmp_path / "texts")), Log("info", Memory()), lambda: None)
    record = with_text("id-on")
    texts_file = port.texts
    await eventually(lambda: not texts_file._file._writer._size, "it is written")
    port.count([record])
    shown = await shows(browser, f"id-on asks: {HOSTILE}")
    assert "ann@" not in shown
    assert "Text" in await shown_columns(browser)
    assert await browser.run("return [window.ran, document.images.length]") == [None, 0]
    texts_file.close()


@pytest.mark.long
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
    await shows(browser, "Classifier and routing")
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
    assert await browser.run("return document.activeElement.labels[0].firstChild.data") == "Model"


async def test_each_control_has_a_name(browser: Browser, port: PagePort) -> None:
    port.count(many(3))
    await browser.open(f"{port.url}/#decisions")
    await shows(browser, "3 of the last 3")
    names = {name for _, name in await named(browser)}
    assert {"Model", "Reason", "Category", "Key", "Status", "Id", "Pause", "Older", TABLE} <= names
