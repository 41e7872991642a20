"""Take the pictures of the page for the docs: a day of made-up traffic, and a prompt that is really tried."""

from __future__ import annotations

import asyncio
import tempfile
from itertools import product
from pathlib import Path

from support.browser import Browser, run_browser
from support.daemon import Daemon, run_daemon
from support.fake_vllm import run_fake_vllm
from support.page import PagePort, run_page, shows
from support.scene import DAY_SECONDS, Scene
from support.service import shipped_config

DOCS = Path(__file__).parents[1] / "docs"
VIEWS = {"now?range=hour": "Last errors", "decisions": "classified", "compare": "Conversations"}
"""A text of each, which it shows last."""
PROMPT = """<context>
Flights to Oslo are delayed.
</context>

Question: why does my Python coroutine never finish?"""
TRY = """
    const field = document.getElementById("tried");
    field.value = arguments[0];
    field.dispatchEvent(new Event("input"));
    document.querySelector("button.main").click();
    """


async def take(browser: Browser, scene: Scene, port: PagePort) -> None:
    """Write a picture of each view on a wide and on a narrow screen."""
    for (view, text), width in product(VIEWS.items(), (1280, 390)):
        await browser.show(width)
        scene.go_on(port)
        await browser.open("about:blank")  # to load the page anew
        await browser.open(f"{port.url}/#{view}")
        await shows(browser, text)
        file = DOCS / f"{view.partition('?')[0]}-{width}.webp"
        await keep(browser, file, whole=view != "decisions")  # it has 500 rows


async def keep(browser: Browser, file: Path, *, whole: bool = True) -> None:
    await asyncio.sleep(0.5)  # until it is drawn
    _write(file, await browser.picture("webp", whole=whole))


def _write(file: Path, picture: bytes) -> None:
    file.write_bytes(picture)
    print(file, len(picture))


async def take_try(browser: Browser, daemon: Daemon) -> None:
    await browser.show(1280)
    await browser.open(f"{daemon.admin_url}/#try")
    await shows(browser, "Route it")
    await browser.run(TRY, PROMPT)
    await shows(browser, "technical-lora")
    await keep(browser, DOCS / "try-1280.webp")


async def play() -> None:
    scene = Scene()
    with tempfile.TemporaryDirectory() as own:
        async with run_browser(Path(own)) as browser:
            async with run_page(since=scene.now - DAY_SECONDS) as port:
                scene.play(port)
                await take(browser, scene, port)
            async with run_fake_vllm() as vllm, run_daemon(shipped_config(vllm.port), Path(own)) as daemon:
                await take_try(browser, daemon)


def main() -> None:
    asyncio.run(play())


if __name__ == "__main__":
    main()
