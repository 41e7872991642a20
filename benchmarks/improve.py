"""Play a day on which an operator improves the router from its own traffic, with a browser on the page.

A service with the built-in classifier and a stand-in for vLLM gets 2,000 wrapped prompts about sick animals, which the
built-in sends to the medical adapter, and 400 others; a few people say that their answer was bad. The operator, who
wants no adapter to answer for animals, opens the page, collects, labels 40 texts by one key each, fits, promotes, and
in the end goes back. Prompts of other words and animals, which nobody has sent before, are routed before, after, and
after going back. Writes improve.json, improve.md and screenshots to benchmarks/results.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
from markdown import publish, table
from provenance import processor, provenance
from startup import RESULT

from support.browser import Browser, run_browser
from support.daemon import Daemon, run_daemon
from support.fake_vllm import run_fake_vllm
from support.page import shows
from support.service import CHAT, chat, shipped_config

PROMPTS, OTHERS, LABELS, HELD_OUT = 2_000, 400, 40, 200
# Share of the wrong answers of which somebody says that they are bad.
DISLIKED = 0.03
AT_ONCE = 8
MEDICAL, TECHNICAL, BASE = "medical-lora", "technical-lora", "llama2-7b"


def words(text: str) -> list[str]:
    """Return the parts of a text between semicolons."""
    return text.split(";")


ANIMALS = words("cat;dog;puppy;rabbit;hamster;horse;kitten;ferret;guinea pig;terrier;poodle;tomcat;mare;foal")
PEOPLE = words("son;wife;father;daughter;grandmother;neighbour;husband;uncle")
TROUBLE = words(
    "has been sneezing for {n} days;has a fever;scratches its ear all night;eats less than usual;limps on one leg;"
    "has a rash on its belly;coughs after running;has not slept well for {n} nights;threw up twice;has swollen gums;"
    "drinks far more water than before;breathes fast in its sleep;has one red eye;lost weight in {n} weeks"
)
ASKS = words(
    "My {who} {what}. What can I do?;Is it dangerous if my {who} {what}?;Our {who} {what}, which medicine helps?;"
    "What does it mean when a {who} {what}?;{who} {what}, do I have to worry?"
)
# Of the held-out prompts: neither these animals nor these troubles were in the traffic.
NEW_ANIMALS = words("parrot;mouse;pony;spaniel;goat;donkey")
NEW_PEOPLE = words("niece;nephew;flatmate;colleague")
NEW_TROUBLE = words(
    "shivers after a bath;cannot swallow properly;has a lump behind the ear;bleeds from the nose;has pale lips;"
    "stumbles when getting up;has a dry cough at night;does not want to be touched at the back"
)
CODE = words(
    "Why does my {lang} program {fault}?;How do I {task} in {lang}?;What is the shortest way to {task} with {lang}?"
)
LANGUAGES = words("Python;Rust;Go;Java;TypeScript;C++;Kotlin;Ruby")
FAULTS = words("leak memory;deadlock under load;fail to link;crash in a destructor;lose a database connection")
TASKS = words("sort a list of records;parse a date;read a file line by line;retry an HTTP call;merge two branches")
MANUAL = (
    "Section 4. Opening hours are from nine to five. Parcels are kept for two weeks. "
    "Section 5. The archive is in the basement, and its key at the desk."
)
WRAPPERS = (
    "{ask}",
    "<context>\n{manual}\n</context>\n\nQuestion: {ask}",
    "<system-reminder>Answer in English. Today is Friday.</system-reminder>\n{ask}",
    'Use the documents to answer.\n\n<document index="1">\n{manual}\n</document>\n\n<user_query>{ask}</user_query>',
    '{ask}\n\nRespond in JSON with the keys "answer" and "sources".',
)


def made_up(dice: random.Random, whom: list[str], trouble: list[str]) -> str:
    what = dice.choice(trouble).format(n=dice.randrange(2, 9))
    return dice.choice(ASKS).format(who=dice.choice(whom), what=what)


def code(dice: random.Random) -> str:
    fields = {"lang": dice.choice(LANGUAGES), "fault": dice.choice(FAULTS), "task": dice.choice(TASKS)}
    return dice.choice(CODE).format(**fields)


def held_out(dice: random.Random) -> list[tuple[str, str]]:
    """Return asks that are not in the traffic, each with the model that should answer."""
    rows = [(made_up(dice, NEW_ANIMALS, NEW_TROUBLE), BASE) for _ in range(HELD_OUT // 2)]
    rows += [(made_up(dice, NEW_PEOPLE, NEW_TROUBLE), MEDICAL) for _ in range(HELD_OUT // 4)]
    return rows + [(code(dice), TECHNICAL) for _ in range(HELD_OUT // 4)]


def is_animal(text: str) -> bool:
    return any(name in text.lower().replace(",", " ").split() for one in ANIMALS for name in one.split())


class Day:
    """A running service, and a browser on its page."""

    def __init__(self, daemon: Daemon, http: aiohttp.ClientSession, browser: Browser) -> None:
        self._daemon = daemon
        self._http = http
        self._browser = browser

    async def send(self, asks: list[str], wanted: str, dice: random.Random) -> Counter[str]:
        """Send wrapped prompts; return the models that answered. Some people say that another should have."""
        waiting = [dice.choice(WRAPPERS).format(ask=ask, manual=MANUAL) for ask in asks]
        found: Counter[str] = Counter()

        async def client() -> None:
            while waiting:
                async with self._http.post(self._daemon.base_url + CHAT, json=chat(waiting.pop())) as answer:
                    model = answer.headers["x-vsr-selected-model"]
                    found[model] += 1
                    await answer.read()
                    said = {"request_id": answer.headers["x-request-id"], "score": 0}
                if model != wanted and dice.random() < DISLIKED:
                    async with self._http.post(self._daemon.base_url + "/v1/feedback", json=said) as answer:
                        answer.raise_for_status()

        await asyncio.gather(*(client() for _ in range(AT_ONCE)))
        return found

    async def right(self, rows: list[tuple[str, str]], dice: random.Random) -> dict[str, int]:
        """Return how many asks of each wanted model would be routed there."""
        found: dict[str, int] = dict.fromkeys((BASE, MEDICAL, TECHNICAL), 0)
        for ask, wanted in rows:
            body = chat(dice.choice(WRAPPERS).format(ask=ask, manual=MANUAL))
            async with self._http.post(self._daemon.base_url + "/v1/route", json=body) as answer:
                found[wanted] += (await answer.json())["decision"]["model"] == wanted
        return found

    async def open(self) -> None:
        await self._browser.open(self._daemon.admin_url + "/#improve")
        await shows(self._browser, "Texts to label")

    async def click(self, name: str, then: str, *, seconds: float = 600) -> None:
        """Press a button, and wait until the page shows something."""
        script = "[...document.querySelectorAll('button')].find(one => one.textContent === arguments[0]).click()"
        await self._browser.run(script, name)
        async with asyncio.timeout(seconds):
            while then not in await self._browser.text():  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.2)

    async def label(self, count: int) -> Counter[str]:
        """Label texts by one key each, as the operator wants them."""
        given: Counter[str] = Counter()
        shown = "return document.querySelector('pre.message').textContent"
        while given.total() < count:
            text = await self._browser.run(shown)
            key = "n" if is_animal(text) else "1" if any(one in text for one in LANGUAGES) else "2"
            given[{"n": "none of them", "1": "technical", "2": "medical"}[key]] += 1
            await self._browser.press(key, text=key)
            async with asyncio.timeout(60):
                while await self._browser.run(shown) == text:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        return given

    async def picture(self, width: int) -> None:
        await self._browser.show(width)
        await asyncio.sleep(0.3)
        RESULT.with_name(f"improve-{width}.png").write_bytes(await self._browser.picture())
        await self._browser.show(1280)

    def replay(self, artifact: str) -> dict[str, Any]:
        """Return what a replay of the day's log says of an artifact."""
        report = self._daemon.config.with_name("replay.json")
        command = [sys.executable, "-m", "pointsman", "eval", "--replay", str(self._daemon.log), "builtin"]
        command += ["--against", artifact, "--config", str(self._daemon.config), "--json", str(report)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found = json.loads(report.read_text())
        return {name: found[name] for name in ("changed", "other_model")}


async def play(folder: Path, seed: int) -> dict[str, Any]:
    """Return what happened."""
    dice = random.Random(seed)
    animals = [made_up(dice, ANIMALS, TROUBLE) for _ in range(PROMPTS)]
    others = {
        MEDICAL: [made_up(dice, PEOPLE, TROUBLE) for _ in range(OTHERS // 2)],
        TECHNICAL: [code(dice) for _ in range(OTHERS // 2)],
    }
    rows = held_out(dice)
    state = folder / "state"
    state.mkdir()
    async with run_fake_vllm() as vllm, run_browser(folder) as browser:
        config = shipped_config(vllm.port) | {
            "pointsman": {"log": {"texts_file": "texts.jsonl", "feedback_file": "said.jsonl"}}
        }
        async with (
            run_daemon(config, folder, env={"STATE_DIRECTORY": str(state)}) as daemon,
            aiohttp.ClientSession() as http,
        ):
            day = Day(daemon, http, browser)
            found: dict[str, Any] = {"wanted": dict(Counter(wanted for _, wanted in rows))}
            found["answered"] = dict(await day.send(animals, BASE, dice))
            for wanted, asks in others.items():
                await day.send(asks, wanted, dice)
            found["before"] = await day.right(rows, random.Random(seed))
            await browser.show(1280)
            await day.open()
            await day.click("Collect", "collect: done")
            await day.click("s skip", "Which category is it?")
            await day.picture(1280)
            found["labels"] = dict(await day.label(LABELS))
            await day.click("Fit", "fit: done")
            await shows(browser, "another model would answer")
            found["report"] = json.loads((state / "improve" / "report.json").read_text())
            (made,) = (state / "improve" / "artifacts").iterdir()
            found["replay"] = await asyncio.to_thread(day.replay, str(made))
            await day.click("Promote", "Go back")
            await day.picture(390)
            found["after"] = await day.right(rows, random.Random(seed))
            await day.click("Go back", "Promote")
            found["back"] = await day.right(rows, random.Random(seed))
    return found


def rendered(result: dict[str, Any]) -> list[str]:
    report, wanted = result["report"], result["wanted"]
    kinds = {BASE: "about animals: no adapter", MEDICAL: "about people: medical", TECHNICAL: "about code: technical"}
    shares = [
        (kinds[name], f"{wanted[name]}", *(f"{result[when][name]}" for when in ("before", "after", "back")))
        for name in kinds
    ]
    other = result["replay"]["other_model"]
    labelled = ", ".join(f"{count} {name}" for name, count in result["labels"].items())
    day = (
        f"`make bench-improve` on {processor(result['machine'])}. A browser drives the page of a service: {PROMPTS:,} "
        f"wrapped prompts about sick animals and {OTHERS} others come in, and of {100 * DISLIKED:g} % of the wrong "
        f"answers somebody says that they are bad. {LABELS} texts are labelled by one key each ({labelled}), fitted "
        f"beside the service, promoted, and taken back."
    )
    outcome = (
        f"The built-in sent {result['answered'].get(MEDICAL, 0):,} of the {PROMPTS:,} prompts to the medical adapter. "
        f"Of the labelled texts, {report['before']} of {report['labelled']} were decided rightly before and "
        f"{report['after']} after, each by a fit that did not see it. {_thresholds(report)}"
        f"By the replay of the log, another model would answer {other['part']:,} of {other['whole']:,} requests."
    )
    if missed := PROMPTS + OTHERS - other["whole"]:
        outcome += f" {missed:,} others were not classified in time, as the host was busy."
    return [
        "# A day on which the router is improved",
        "",
        *textwrap.wrap(day, 120),
        "",
        *textwrap.wrap(outcome, 120),
        "",
        "Held out: prompts with animals, people and troubles that were not in the traffic, routed by the service.",
        "",
        *table(("held-out prompts", "number", "right before", "after promoting", "after going back"), shares),
        "",
        "![The page, with a text to label](improve-1280.png)",
        "",
        "![The same on a narrow screen, after the fit](improve-390.png)",
    ]


def _thresholds(report: dict[str, Any]) -> str:
    moved = [one for one in report["levels"] if one["before"] != one["after"]]
    moves = ", ".join(f"{one['category']} {one['before']:.2f} to {one['after']:.2f}" for one in moved)
    return f"Thresholds that moved: {moves}. " if moved else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = provenance() | {"seed": options.seed} | asyncio.run(play(Path(folder), options.seed))
    del result["report"]["artifact"]
    for change in result["report"]["changes"]:
        del change["samples"]
    publish(RESULT.with_name("improve.json"), result, rendered(result))


if __name__ == "__main__":
    main()
