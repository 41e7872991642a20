"""The view Now in a real browser: a day of made-up traffic with twelve adapters, keys, errors and a canary."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
import pytest_asyncio

from pointsman.observability.record import Record
from support.browser import Browser
from support.page import PagePort, cells, named, press, run_page, shows
from support.scene import BASE, CANARY, CATEGORIES, DAY_SECONDS, FAILING, KEYS, LOST, SLOW, Scene, name_of

pytestmark = pytest.mark.asyncio(loop_scope="session")
# How each of the swatches looks that stand before a name: its color, and what is over it.
LOOKS = """
    const found = {};
    for (const one of document.querySelectorAll(arguments[0] + " .swatch")) {
        const style = getComputedStyle(one), name = (one.nextSibling.textContent ?? one.nextSibling.data);
        (found[name] ??= new Set()).add(style.backgroundColor + " " + style.backgroundImage);
    }
    return Object.fromEntries(Object.entries(found).map(([name, looks]) => [name, [...looks]]));
    """
READ = "return document.querySelector('.readout').hidden ? null : document.querySelector('.readout').innerText"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def busy() -> AsyncIterator[PagePort]:
    """After a day of traffic."""
    scene = Scene()
    async with run_page(since=scene.now - DAY_SECONDS) as found:
        scene.play(found)
        yield found


async def opened(browser: Browser, port: PagePort, address: str = "now") -> str:
    await browser.open("about:blank")
    await browser.open(f"{port.url}/#{address}")
    return await shows(browser, "Classifier and routing")


async def looks(browser: Browser, selector: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = await browser.run(LOOKS, selector)
    return found


async def test_the_range_and_the_split_stand_in_the_address(browser: Browser, busy: PagePort) -> None:
    await opened(browser, busy, "now?range=15m&by=failed")
    pressed = "return [...document.querySelectorAll('[aria-pressed=true]')].map(one => one.textContent)"
    assert await browser.run(pressed) == ["15 min", "Errors"]
    await press(browser, "5 min")
    await press(browser, "Reasons")
    assert await browser.run("return location.hash") == "#now?range=5m&by=reasons"
    assert await browser.run(pressed) == ["5 min", "Reasons"]
    await browser.run("location.reload()")
    await shows(browser, "Classifier and routing")
    assert await browser.run(pressed) == ["5 min", "Reasons"]
    await shows(browser, "sticky")
    for step in ("5m", "15m", "hour", "day"):
        await opened(browser, busy, f"now?range={step}")
        assert len(await browser.run(pressed)) == 2
        await cells(browser, "Models")
    await opened(browser, busy, "now?range=<b>&by=constructor")
    assert await browser.run(pressed) == ["Hour", "Models"]


async def test_the_chart_has_axes_and_its_values_are_read_with_the_pointer(browser: Browser, busy: PagePort) -> None:
    await opened(browser, busy)
    await shows(browser, FAILING)
    ticks = await browser.run(
        """
        const [chart] = document.querySelectorAll(".plot");
        const text = kind => [...chart.querySelectorAll("text." + kind)].map(one => one.textContent);
        return [text("y"), text("x")];
        """
    )
    assert 3 <= len(ticks[0]) <= 4
    values = sorted(float(value.replace(",", "")) for value in ticks[0])
    assert values[0] == 0
    assert len({round(after - before, 6) for before, after in pairwise(values)}) == 1
    assert len(ticks[1]) >= 4
    assert all(re.fullmatch(r"\d\d:\d[05]", tick) for tick in ticks[1])
    assert await browser.run(READ) is None
    move = """
        const box = document.querySelector(".plot").getBoundingClientRect();
        return [box.left + arguments[0] * box.width, box.top + box.height / 2];
        """
    read = []
    for share in (0.3, 0.7):
        x, y = await browser.run(move, share)
        await browser.devtools("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        read.append(await browser.run(READ))
    assert read[0] != read[1]
    title, *rows = read[1].replace("\n\n", "\n").splitlines()
    assert re.fullmatch(r"\d\d:\d\d–\d\d:\d\d \d+", title)
    assert name_of("technical") in read[1]
    numbers = [float(row.rsplit(None, 1)[-1]) for row in rows if row.rsplit(None, 1)[-1].replace(".", "").isdigit()]
    assert sum(numbers) == pytest.approx(float(title.split()[1]), abs=1)
    await browser.devtools("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    assert await browser.run(READ) is None


async def test_the_chart_is_read_by_keyboard_and_said_aloud(browser: Browser, busy: PagePort) -> None:
    await opened(browser, busy)
    await shows(browser, FAILING)
    said = "return document.querySelector('.plot [aria-live]').textContent"
    await browser.run("document.querySelector('.plot').focus()")
    heard = []
    for key in ("Home", "ArrowRight", "ArrowRight", "ArrowLeft", "End", "PageUp"):
        await browser.press(key)
        heard.append(await browser.run(said))
        assert await browser.run(READ) is not None
    times = [re.match(r"(\d\d):(\d\d)–", one) for one in heard]
    first, second, third, again, end, page = [int(one[1]) * 60 + int(one[2]) for one in times if one]
    assert [(one - first) % 1440 for one in (second, third, again)] == [1, 2, 1]
    assert (end - page) % 1440 == 10
    assert (end - first) % 1440 in (58, 59), "the newest minute counts once enough of it is over"
    assert name_of("technical") in heard[-1]
    await browser.press("Escape")
    assert await browser.run(READ) is None


async def test_what_is_pointed_at_stays_while_answers_come(browser: Browser, busy: PagePort) -> None:
    await opened(browser, busy)
    await shows(browser, FAILING)
    await browser.run("document.querySelector('.plot').focus()")
    await browser.press("Home")
    await browser.press("PageDown")
    before = await browser.run(READ)
    await browser.run(
        "document.dispatchEvent(new Event('visibilitychange')); await new Promise(done => setTimeout(done, 500))"
    )
    assert before.splitlines()[0] == (await browser.run(READ)).splitlines()[0]
    assert await browser.run("return document.activeElement.className") == "plot"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_model_has_one_look_wherever_it_is_shown(browser: Browser, busy: PagePort, scheme: str) -> None:
    await browser.show(1280, dark=scheme == "dark")
    try:
        found: dict[str, list[str]] = {}
        for address in ("now", "now?range=5m", "now?by=failed&range=day"):
            await opened(browser, busy, address)
            await shows(browser, FAILING)
            await press(browser, next(iter(KEYS)))
            for selector in (".legend", "tbody"):
                for name, several in (await looks(browser, selector)).items():
                    assert len(several) == 1
                    assert found.setdefault(name, several) == several, f"{name} in {selector} at {address}"
    finally:
        await browser.show(1280)
    models = {name: several[0] for name, several in found.items() if name in {BASE, CANARY, *map(name_of, CATEGORIES)}}
    assert len(models) >= 12
    assert len(set(models.values())) == len(models)


async def test_a_model_that_was_shown_before_the_config_is_known_or_changes_gets_its_look(
    browser: Browser, port: PagePort
) -> None:
    many(port, ["base", "first", "second"])
    known = port.status["models"]
    port.status |= {"models": []}
    await opened(browser, port)
    await cells(browser, "Models")
    assert len({json.dumps(look) for look in (await looks(browser, "tbody .first")).values()}) == 1, "all are gray"
    kept = "window.kept = document.querySelector('tbody .first .swatch'); window.before = kept.className"
    await browser.run(f"{kept}; document.body.append(kept)")
    port.status |= {"models": known}
    async with asyncio.timeout(30):
        while await browser.run("return window.kept.className === window.before"):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    found = await looks(browser, "tbody .first")
    assert len({json.dumps(look) for look in found.values()}) == 3


def name_in(cell: str) -> str:
    """The name of a model, before what is the matter with it."""
    found = re.match(rf"{BASE}|\S+?-lora", cell)
    assert found is not None, cell
    return found[0]


async def test_all_models_are_in_one_table_and_what_is_wrong_with_one_is_said(browser: Browser, busy: PagePort) -> None:
    shown = await opened(browser, busy)
    rows = {name_in(row[0]): row for row in await cells(browser, "Models")}
    assert set(rows) == {BASE, CANARY, *map(name_of, CATEGORIES)}
    assert set(list(rows)[:3]) == {FAILING, SLOW, LOST}, "what is wrong comes first"
    assert [rows[name][1] for name in (FAILING, SLOW, LOST, BASE)] == ["failing", "slow", "lost", "served"]
    assert f"of its base model {BASE} 0%" in rows[FAILING][0]
    assert "of comparable requests 0.11 s" in rows[SLOW][0]
    failed = {name: float(row[5].split()[1]) if " " in row[5] else 0.0 for name, row in rows.items()}
    assert failed[FAILING] > 3 > failed[name_of("technical")]
    assert sum(float(row[4].split()[0]) for row in rows.values()) == pytest.approx(100, abs=1)
    tokens = [cell for name, row in rows.items() if name != LOST for cell in row[10:]]
    assert len(tokens) == 2 * 13
    assert [cell for cell in tokens if not re.fullmatch(r"[\d,.]+[KM]?", cell)] == []
    alerts = shown.split("Requests\n")[0]
    assert [name for name in (FAILING, SLOW, LOST) if name not in alerts] == []


def requests(row: list[str]) -> int:
    return int(row[2].replace(",", ""))


async def test_usage_is_told_by_key_and_opens_to_its_models(browser: Browser, busy: PagePort) -> None:
    await opened(browser, busy)
    rows = await cells(browser, "Usage by key and model")
    assert {row[0] for row in rows} == set(KEYS)
    assert sorted(rows, key=requests, reverse=True) == rows
    first = rows[0]
    await press(browser, first[0])
    rows = await cells(browser, "Usage by key and model")
    parts = rows[1 : rows.index(next(row for row in rows[1:] if row[0] in KEYS))]
    assert len(parts) >= 12
    assert sum(map(requests, parts)) == requests(first)
    await browser.run("document.querySelector('.unfold[aria-expanded=true]').focus()")
    await browser.run(
        "document.dispatchEvent(new Event('visibilitychange')); await new Promise(done => setTimeout(done, 500))"
    )
    assert await browser.run("return document.activeElement.textContent") == first[0]
    assert len(await cells(browser, "Usage by key and model")) == len(rows)


async def test_errors_are_told_by_what_they_are_with_an_example(browser: Browser, busy: PagePort) -> None:
    await opened(browser, busy)
    rows = await cells(browser, "Last errors")
    assert len(rows) == 3
    kinds = {row[1]: row for row in rows}
    assert kinds["500"][2] == "vLLM answered with this status"
    assert kinds["500"][4] == FAILING
    assert kinds["404"][2] == "the model … does not exist"
    assert "more" in kinds["404"][5]
    link = await browser.run("return document.querySelector('td a').getAttribute('href')")
    assert re.fullmatch(r"#decisions\?id=[0-9a-f]{32}", link)
    newest = max(busy.latest.errors(), key=lambda one: one.at)
    assert newest.request_id in link


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("address", ["now?range=5m", "now?range=day"])
async def test_it_fits_the_screen(browser: Browser, busy: PagePort, width: int, address: str) -> None:
    await browser.show(width)
    try:
        await opened(browser, busy, address)
        await shows(browser, FAILING)
        wide, charts = await browser.run(
            """
            const charts = [...document.querySelectorAll(".plot")].map(one => one.clientWidth);
            return [document.documentElement.scrollWidth, charts];
            """
        )
        assert wide <= width
        assert min(charts) > (0.25 if width > 1000 else 0.8) * width
    finally:
        await browser.show(1280)


def many(port: PagePort, names: list[str]) -> None:
    """One request for each of the models, and that of its key."""
    port.metrics.know(frozenset(names))
    port.status |= {"models": [{"name": name, "base": names[0]} for name in names]}
    for number, name in enumerate(names):
        port.metrics.decisions.add("classified", "", name, "500" if number % 2 else "200", "", by=500 - number)
        port.metrics.model_first_byte_seconds.add(0.1, name, "")
        port.metrics.usage.add(f"key {name}", name, requests=1, failed=0, tokens=(1, 2))
    port.count([Record("id", "/v1/models", status=200, ended=time.time())])


async def test_two_hundred_adapters_have_looks_of_their_own(browser: Browser, port: PagePort) -> None:
    names = [f"adapter-{number}" for number in range(200)]
    many(port, names)
    await opened(browser, port)
    await shows(browser, "184 others")
    assert len(await cells(browser, "Models")) == 24
    await press(browser, "All 200 models")
    assert [row[0] for row in await cells(browser, "Models")] == names
    found = await looks(browser, "tbody .first")
    assert len({json.dumps(look) for look in found.values()}) == len(found) == 200
    shown = list((await looks(browser, ".wider .legend")).items())
    assert len(shown) == 17
    assert all(one[1] != other[1] for one, other in pairwise(shown))
    assert await browser.run("return document.querySelectorAll('*').length") < 8_000


async def test_unrouted_adapters_are_told_with_the_command(browser: Browser, port: PagePort) -> None:
    """Also where nothing else is said of models, and only where there are some."""
    await opened(browser, port)
    assert "nrouted" not in await browser.run("return document.body.innerText")
    adapters = [
        {"name": "law", "state": "served"},
        *({"name": x, "state": "served", "routed": False} for x in ("sql", "<b>")),
    ]
    endpoint = {"up": True, "reachable": True, "key_accepted": True, "breaker": "closed", "in_flight": 0}
    endpoint |= {"base_models": [], "error": None, "adapters": adapters}
    port.status |= {"endpoints": [{"endpoint": name} | endpoint for name in ("a", "b")]}
    await opened(browser, port)
    await shows(
        browser, "Unrouted, as no category names them: sql, <b>. pointsman init --add writes a category for each."
    )


async def test_each_control_has_a_name(browser: Browser, busy: PagePort) -> None:
    await opened(browser, busy)
    await shows(browser, FAILING)
    found = await named(browser)
    assert [name for role, name in found if role == "group" and "Arrow keys read the values" in name]
