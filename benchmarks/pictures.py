"""Take the pictures of the page for the docs: made-up traffic of a day, on wide and narrow screens."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from itertools import product
from pathlib import Path

from support.browser import Browser, run_browser
from support.page import PagePort, run_page, shows
from support.scene import DAY_S, Scene

DOCS = Path(__file__).parents[1] / "docs"
VIEWS = {"now?range=hour": "Last errors", "decisions": "classified"}
"""A text of each, which it shows last."""


async def take(browser: Browser, scene: Scene, port: PagePort, folder: Path) -> None:
    """Write a picture of each view on a wide and on a narrow screen."""
    for (view, text), width in product(VIEWS.items(), (1280, 390)):
        await browser.show(width)
        scene.go_on(port)
        await browser.open("about:blank")  # to load the page anew
        await browser.open(f"{port.url}/#{view}")
        await shows(browser, text)
        await asyncio.sleep(0.5)  # until it is drawn, too
        file = folder / f"{view.partition('?')[0]}-{width}.webp"
        file.write_bytes(await browser.picture("webp", whole=view != "decisions"))  # it has 500 rows
        print(file, file.stat().st_size)


async def play(folder: Path) -> None:
    scene = Scene()
    with tempfile.TemporaryDirectory() as profile:
        async with run_page(since=scene.now - DAY_S) as port, run_browser(Path(profile)) as browser:
            scene.play(port)
            await take(browser, scene, port, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=DOCS)
    asyncio.run(play(parser.parse_args().folder))


if __name__ == "__main__":
    main()
