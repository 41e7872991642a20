"""The view of the page on which texts are labelled, in a real browser, with the files of a state directory."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pointsman.api.improve import improve_routes
from pointsman.config.load import load
from pointsman.improve import long_command
from pointsman.improve.improver import Improver
from pointsman.improve.labels_file import read_labels
from pointsman.observability.log import Log
from pointsman.server.request import Request
from pointsman.server.response import Response, json_response
from pointsman.server.routes import Route
from support.browser import Browser
from support.config_files import MINIMAL, category
from support.log import Memory
from support.page import cells, press, run_page, shows
from support.process import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = "<img src=x onerror='window.ran=1'><script>window.ran=1</script> who pays?"
REPORT: dict[str, Any] = {
    "labelled": 40,
    "before": 9,
    "after": 33,
    "traffic": 2000,
    "calibrated": 40,
    "levels": [
        {"category": "law", "before": 0.6, "after": 0.82, "labelled": 40, "origin": "routing.precision", "few": False},
        {"category": "math", "before": 0.6, "after": 0.6, "labelled": 0, "origin": "routing.precision", "few": True},
        {"category": "art", "before": 0.5, "after": 0.5, "labelled": 0, "origin": "routing.thresholds", "few": True},
        {
            "category": "sea",
            "before": 0.6,
            "after": 0.6,
            "labelled": 9,
            "origin": "routing.precision is not reached",
            "few": False,
        },
    ],
    "labels": [{"label": "law", "texts": 40, "before": 9, "after": 33}],
    "changes": [{"before": "other", "after": "law", "model": "law-lora", "texts": 700, "samples": [HOSTILE, "two"]}],
}


@dataclass
class Improving:
    """The page's port, and the files that it changes."""

    url: str
    state: Path
    classifiers: dict[str, Any] = field(default_factory=dict)
    promoted: list[Any] = field(default_factory=list)

    def write(self, name: str, content: str) -> None:
        (self.state / "improve").mkdir(parents=True, exist_ok=True)
        (self.state / "improve" / name).write_text(content)

    @property
    def labels(self) -> dict[str, str]:
        return {one.hash: one.label for one in read_labels(self.state / "improve" / "labels.jsonl")}


@pytest_asyncio.fixture(loop_scope="session")
async def page(tmp_path: Path) -> AsyncIterator[Improving]:
    log = "pointsman: {log: {texts_file: texts.jsonl}}\n"
    config = tmp_path / "config.yaml"
    config.write_text(f"{MINIMAL}categories:\n{category('law')}{category('math')}{log}")
    improver = Improver(tmp_path / "state", config, lambda: load(config).config, Log("info", Memory()))
    found = Improving("", tmp_path / "state")
    found.classifiers = {"in_use": "builtin", "config": "builtin", "promoted": None, "former": [], "artifacts": []}
    found.classifiers["shadow"] = None

    def answering(name: str) -> Callable[[Request], Any]:
        async def handler(request: Request) -> Response:
            if name:
                found.promoted.append((name, json.loads(bytes(await request.read(5)))))
            return json_response(found.classifiers)

        return handler

    more = [
        Route("GET", "/classifiers", answering("")),
        *(Route("POST", f"/classifier/{name}", answering(name)) for name in ("promote", "rollback", "discard")),
    ]
    async with run_page(*improve_routes(improver), *more) as port:
        found.url = f"{port.url}/#improve"
        yield found
    await improver.close()


def items(*texts: str) -> str:
    rows = [{"id": f"{n}", "hash": f"{n}" * 8, "text": text, "useful": 1.0} for n, text in enumerate(texts)]
    return "".join(json.dumps(row) + "\n" for row in rows)


async def opened(browser: Browser, page: Improving) -> None:
    await browser.open(page.url.partition("#")[0] + "page/icon.svg")
    await browser.open(page.url)


async def test_without_texts_it_says_what_to_do(browser: Browser, page: Improving) -> None:
    await opened(browser, page)
    shown = await shows(browser, "Nothing to label")
    assert "Collect lists the doubtful texts" in shown
    assert "Nothing has been fitted yet" in shown


async def test_one_key_labels_skips_and_takes_back(browser: Browser, page: Improving) -> None:
    page.write("worklist.jsonl", items("first text", HOSTILE, "third text"))
    await opened(browser, page)
    for key, then in (
        ("2", "who pays?"),
        ("n", "third text"),
        ("u", "who pays?"),
        ("s", "third text"),
        ("1", "Nothing to label"),
    ):
        await shows(
            browser, {"2": "first text", "n": "who pays?", "u": "third text", "s": "who pays?", "1": "third text"}[key]
        )
        await browser.press(key, text=key)
        await shows(browser, then)
    assert page.labels == {"0" * 8: "math", "2" * 8: "law"}
    assert await cells(browser, "Labels") == [["math", "1"], ["law", "1"]]
    assert await browser.run("return window.ran ?? null") is None, "a prompt ran as a script"


async def test_enter_confirms_what_a_model_says(browser: Browser, page: Improving) -> None:
    rows = [{"id": f"{n}", "hash": f"{n}" * 8, "text": f"text {n}", "useful": 1.0} for n in range(3)]
    rows = [row | {"suggested": said} for row, said in zip(rows, ("math", "(none)", "gone"), strict=True)]
    page.write("worklist.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    await opened(browser, page)
    await shows(browser, "math, as a model says")
    await browser.press("Enter")
    await shows(browser, "none of them, as a model says")
    await browser.press("Enter")
    await shows(browser, "text 2")
    await browser.press("Enter")
    assert page.labels == {"0" * 8: "math", "1" * 8: "out_of_scope"}


async def test_buttons_do_the_same_and_a_key_in_a_menu_of_the_browser_does_not(
    browser: Browser, page: Improving
) -> None:
    page.write("worklist.jsonl", items("first text", "second text"))
    await opened(browser, page)
    await shows(browser, "first text")
    await browser.run("document.dispatchEvent(new KeyboardEvent('keydown', {key: '1', ctrlKey: true, bubbles: true}))")
    assert page.labels == {}
    await press(browser, "1 law")
    await shows(browser, "second text")
    assert page.labels == {"0" * 8: "law"}


async def test_the_last_fit_is_shown_with_samples_as_text_and_is_promoted_once_a_question_is_answered(
    browser: Browser, page: Improving
) -> None:
    page.write("report.json", json.dumps(REPORT))
    one = {"name": "fit-1", "path": "/a/fit-1", "labelled": 40, "right_before": 9, "right_after": 33}
    page.classifiers |= {"artifacts": [one]}
    await opened(browser, page)
    shown = await shows(browser, "other → law")
    assert HOSTILE in shown
    assert await browser.run("return window.ran ?? null") is None
    assert ["all", "40", "9", "33"] in await cells(
        browser, "The last fit: labeled texts decided rightly, each by a fit that did not see it"
    )
    assert [row[1:] for row in await cells(browser, "Thresholds")] == [
        ["0.60", "0.82", "40", "the base’s rows and labels"],
        ["0.60", "0.60", "0", "the base’s rows alone: too few labels"],
        ["0.50", "0.50", "0", "the config sets it"],
        ["0.60", "0.60", "9", "routing.precision is not reached"],
    ]
    await shows(browser, "9 → 33 of 40")
    await press(browser, "Promote")
    assert re.search(r"Right after\s+33 of 40 \(82.5 %\)", await shows(browser, "24 more are right than before."))
    await press(browser, "Promote it")
    await eventually(lambda: bool(page.promoted), "the click has counted")
    assert await browser.run("return document.querySelector('dialog')") is None
    page.classifiers |= {"in_use": "/a/fit-1", "promoted": {"path": "/a/fit-1"}}
    await shows(browser, "Go back")
    await press(browser, "Go back")
    await eventually(lambda: len(page.promoted) == 2, "the second click has counted")
    assert page.promoted == [("promote", {"artifact": "fit-1"}), ("rollback", {})]


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ((53, 44, 44), "As many are right as before: the labels say nothing for it."),
        ((53, 44, 49), "5 more are right than before, which may be chance."),
        ((53, 44, 50), "6 more are right than before."),
        ((53, 44, 41), "3 fewer are right than before."),
        ((None, None, None), "Nothing is known of it by labels."),
    ],
)
async def test_without_a_yes_nothing_is_promoted_and_no_key_labels(
    browser: Browser, page: Improving, figures: tuple[int | None, ...], said: str
) -> None:
    page.write("worklist.jsonl", items("first text"))
    fields = dict(zip(("labelled", "right_before", "right_after"), figures, strict=True))
    page.classifiers |= {"artifacts": [{"name": HOSTILE, "path": "/a/fit-1", **fields}]}
    await opened(browser, page)
    await shows(browser, HOSTILE)
    await press(browser, "Promote")
    await shows(browser, said)
    assert await browser.run("return document.activeElement.textContent") == "Leave it"
    await browser.press("1", text="1")
    await press(browser, "Leave it")
    assert await browser.run("return document.querySelector('dialog')") is None
    assert page.promoted == []
    assert page.labels == {}
    assert await browser.run("return [window.ran ?? null, document.images.length]") == [None, 0]


async def test_a_fit_is_discarded_by_a_second_click_unless_it_serves_or_is_in_shadow(
    browser: Browser, page: Improving
) -> None:
    made = [{"name": name, "path": f"/a/{name}", "labelled": None} for name in ("used", "second", HOSTILE)]
    page.classifiers |= {"artifacts": made, "in_use": "/a/used", "shadow": "/a/second"}
    await opened(browser, page)
    await shows(browser, HOSTILE)
    rows = await cells(browser, "Classifiers")
    assert [row[2] for row in rows] == ["in use", "Promotein shadow", "PromoteDiscard"]
    await press(browser, "Discard")
    double = "dispatchEvent(new MouseEvent('click', {detail: 2, bubbles: true}))"
    await browser.run(f"[...document.querySelectorAll('button.bad')][0].{double}")
    assert page.promoted == []
    await press(browser, "Promote")
    await press(browser, "Promote it")
    await eventually(lambda: bool(page.promoted), "the click has counted")
    assert page.promoted.pop()[0] == "promote", "the double click discarded it"
    await press(browser, "Discard for ever")
    await eventually(lambda: bool(page.promoted), "the click has counted")
    assert page.promoted == [("discard", {"artifact": HOSTILE})]


async def test_a_command_is_started_told_and_its_error_shown(
    browser: Browser, page: Improving, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "import sys; print('at least 10 are needed', file=sys.stderr); sys.exit(1)"
    monkeypatch.setattr(long_command, "COMMAND", (sys.executable, "-c", program))
    await opened(browser, page)
    await shows(browser, "Nothing to label")
    await press(browser, "Fit")
    shown = await shows(browser, "fit: failed")
    assert "at least 10 are needed" in shown


async def test_a_redraw_keeps_the_focus(browser: Browser, page: Improving) -> None:
    page.write("worklist.jsonl", items("first text"))
    await opened(browser, page)
    await shows(browser, "first text")
    focused = await browser.run(
        """
        [...document.querySelectorAll("button")].find(one => one.textContent === "s skip").focus();
        document.dispatchEvent(new Event("visibilitychange"));
        await new Promise(done => setTimeout(done, 500));
        return document.activeElement.textContent;
        """
    )
    assert focused == "s skip"
