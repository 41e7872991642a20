"""Take the pictures of the page for the docs: made-up traffic of a day, on wide and narrow screens, light and dark."""

from __future__ import annotations

import argparse
import asyncio
import base64
import struct
import tempfile
import zlib
from itertools import product
from pathlib import Path

from support.browser import Browser, run_browser
from support.page import PagePort, run_page, shows
from support.scene import DAY_S, Scene

DOCS = Path(__file__).parents[1] / "docs"
WIDTHS = (1280, 390)
MAX_BYTES = 150_000
# What a PNG of 128 colors is made of: its size, its palette, and its compressed rows. The palette has the most frequent
# colors of those that are not nearly the same, and any other becomes the nearest of these.
REDUCE = """
    const image = await createImageBitmap(await (await fetch("data:image/png;base64," + arguments[0])).blob());
    const {width, height} = image, context = new OffscreenCanvas(width, height).getContext("2d");
    context.drawImage(image, 0, 0);
    const pixels = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
    const counts = new Map();
    pixels.forEach(pixel => counts.set(pixel, (counts.get(pixel) ?? 0) + 1));
    const parts = pixel => [pixel & 255, pixel >> 8 & 255, pixel >> 16 & 255];
    const palette = [], nearest = new Map();
    const far = pixel => palette.map(one => Math.hypot(...parts(pixel).map((part, place) => part - one[place])));
    for (const [pixel] of [...counts].sort((a, b) => b[1] - a[1])) {
        if (palette.length < 128 && (palette.length < 32 || Math.min(...far(pixel)) > 12)) {
            palette.push(parts(pixel));
        }
    }
    for (const pixel of counts.keys()) {
        const others = far(pixel);
        nearest.set(pixel, others.indexOf(Math.min(...others)));
    }
    const rows = new Uint8Array(height * (width + 1));
    pixels.forEach((pixel, place) => { rows[place + Math.floor(place / width) + 1] = nearest.get(pixel); });
    const packed = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
    const data = new Uint8Array(await new Response(packed).arrayBuffer());
    return [width, height, palette.flat(), btoa(Array.from(data, one => String.fromCharCode(one)).join(""))];
    """


async def reduced(browser: Browser, picture: bytes) -> bytes:
    """A PNG with 128 colors, which has a third of the bytes."""
    await browser.open("about:blank")  # whose policy permits it
    width, height, palette, data = await browser.run(REDUCE, base64.b64encode(picture).decode())
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0),
        b"PLTE": bytes(palette),
        b"IDAT": base64.b64decode(data),
        b"IEND": b"",
    }
    parts = (
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks.items()
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


async def take(browser: Browser, scene: Scene, port: PagePort, folder: Path) -> None:
    """Write a picture of the view Now for each kind of screen."""
    for width, dark in product(WIDTHS, (False, True)):
        await browser.show(width, dark=dark)
        scene.go_on(port)
        await browser.open(f"{port.url}/#now?range=hour")
        await shows(browser, "Last errors")
        await asyncio.sleep(0.5)  # until it is drawn, too
        picture = await reduced(browser, await browser.picture())
        file = folder / f"now-{width}{'-dark' if dark else ''}.png"
        assert len(picture) < MAX_BYTES, f"{file.name} has {len(picture):,} bytes"
        file.write_bytes(picture)
        print(f"{file}: {len(picture):,} bytes")


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
