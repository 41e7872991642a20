"""A headless Chromium, driven by chromedriver's WebDriver protocol: plain JSON over HTTP."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from support import needs
from support.process import log_tail, no_survivors, reserve_port

START_SECONDS = 60.0
SCRIPT_SECONDS = 60.0
# As root there is no sandbox, and nothing is to be asked of the network.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Chromium goes by the numbers of these keys.
_KEYS = {name: {"windowsVirtualKeyCode": code} for name, code in (("Tab", 9), ("Enter", 13), (" ", 32))}


@dataclass(frozen=True)
class Browser:
    """A window."""

    _http: aiohttp.ClientSession
    _session: str

    async def open(self, url: str) -> None:
        """Load a page, and wait until it is loaded."""
        await self._post("/url", {"url": url})

    async def run(self, script: str, *arguments: Any) -> Any:
        """The result of the body of an async function that runs in the page; `arguments` are its own."""
        whole = f"const done = arguments[arguments.length - 1]; (async function () {{ {script} }})"
        whole += ".apply(null, arguments).then(done, error => done({failed: String(error)}))"
        return await self._post("/execute/async", {"script": whole, "args": list(arguments)})

    async def text(self) -> str:
        """Return the text on the page."""
        shown: str = await self.run("return document.body ? document.body.innerText : ''")
        return shown

    async def press(self, key: str, *, text: str | None = None) -> None:
        """Press a key and let it go; `text` is what it types."""
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if text is not None and kind == "keyDown" else {}
            await self.devtools("Input.dispatchKeyEvent", type=kind, key=key, code=key, **_KEYS.get(key, {}), **typed)

    async def show(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Take a window of this size, for a person who likes it light or dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.devtools("Emulation.setDeviceMetricsOverride", **size)
        await self.devtools("Emulation.setScrollbarsHidden", hidden=True)
        wish = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.devtools("Emulation.setEmulatedMedia", features=[wish])

    async def picture(self, kind: str = "png", *, whole: bool = True) -> bytes:
        """The whole page as a PNG, or another kind of picture, or what of it is on the screen."""
        taken = await self.devtools("Page.captureScreenshot", captureBeyondViewport=whole, format=kind)
        return base64.b64decode(taken["data"])

    async def devtools(self, command: str, **parameters: Any) -> Any:
        """The result of a command of Chromium's DevTools protocol."""
        return await self._post("/goog/cdp/execute", {"cmd": command, "params": parameters})

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return await _post(self._http, self._session + path, body)


@contextlib.asynccontextmanager
async def run_browser(folder: Path, *, names: Mapping[str, str] | None = None) -> AsyncIterator[Browser]:
    """Start Chromium with an empty profile in `folder`; `names` are host names with the addresses that they have.

    It ends with the block.
    """
    for program, package in (("chromium", "chromium"), ("chromedriver", "chromium-driver")):
        needs.program(program, package)
    port = reserve_port()
    log = folder / "chromedriver.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *("chromedriver", f"--port={port}"),
            env=os.environ | {"HOME": str(folder)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    with no_survivors(process.pid):
        timeout = aiohttp.ClientTimeout(total=SCRIPT_SECONDS + START_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            driver = f"http://127.0.0.1:{port}"
            await _answering(http, driver, process, log)
            found = await _post(http, f"{driver}/session", _capabilities(folder, names or {}))
            session = f"{driver}/session/{found['sessionId']}"
            await _post(http, f"{session}/timeouts", {"script": int(SCRIPT_SECONDS * 1000)})
            try:
                yield Browser(http, session)
            finally:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.delete(session):
                        pass
                process.terminate()
                await process.wait()


def _capabilities(folder: Path, names: Mapping[str, str]) -> dict[str, Any]:
    rules = ",".join([*(f"MAP {name} {address}" for name, address in names.items()), "EXCLUDE localhost"])
    options = {
        "binary": shutil.which("chromium"),
        "args": [*FLAGS, f"--user-data-dir={folder / 'profile'}", f"--host-resolver-rules={rules}"],
    }
    return {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}}


async def _answering(http: aiohttp.ClientSession, driver: str, process: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            assert process.returncode is None, log_tail(log)
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(f"{driver}/status") as response:
                    if (await response.json())["value"]["ready"]:
                        return
            await asyncio.sleep(0.05)


async def _post(http: aiohttp.ClientSession, url: str, body: Mapping[str, Any]) -> Any:
    async with http.post(url, json=body) as response:
        value = (await response.json())["value"]
    assert response.status == 200, value
    return value
