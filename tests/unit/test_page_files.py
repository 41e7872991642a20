"""The files of the page: how they are served, and what may not be in them."""

from __future__ import annotations

import asyncio
import re
from itertools import product
from pathlib import Path
from typing import Any, cast

import pytest

from pointsman.api import page
from pointsman.api.page.files import page_routes
from pointsman.server.response import Response

FOLDER = Path(page.__file__).parent / "static"
SCRIPTS = sorted(FOLDER.glob("*.js"))
TOKENS = (FOLDER / "tokens.css").read_text("utf-8")


def served() -> dict[str, Response]:
    unused = cast("Any", None)
    return {route.path: cast("Response", asyncio.run(_once(route.handler(unused)))) for route in page_routes()}


async def _once(answer: Any) -> Any:
    return await answer


def test_each_file_is_served_and_nothing_else() -> None:
    found = served()
    names = {f"/page/{file.name}" for file in FOLDER.iterdir() if file.name != "index.html"}
    assert found.keys() == {"/"} | names
    assert found["/"].body == (FOLDER / "index.html").read_bytes()
    assert {path.rpartition(".")[2]: one.content_type.partition(";")[0] for path, one in found.items()} == {
        "/": "text/html",
        "css": "text/css",
        "js": "text/javascript",
        "svg": "image/svg+xml",
    }


def test_no_script_but_ours_runs_and_no_other_page_shows_ours() -> None:
    for response in served().values():
        headers = dict(response.headers)
        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        assert policy.pop("default-src") == "'none'"
        assert {policy.pop(name) for name in ("base-uri", "form-action", "frame-ancestors")} == {"'none'"}
        assert {policy.pop(f"{kind}-src") for kind in ("script", "style", "img", "connect")} == {"'self'"}
        assert policy == {"require-trusted-types-for": "'script'", "trusted-types": "'none'"}
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_script_makes_markup_of_text_or_asks_another_host(script: Path) -> None:
    text = script.read_text("utf-8")
    found = re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|DOMParser", text)
    assert found == []
    assert set(re.findall(r"\w+://[^\s\"]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert set(re.findall(r"from \"([^\"]+)\"", text)) <= {f"./{one.name}" for one in SCRIPTS}


def test_the_page_has_no_script_or_style_in_itself() -> None:
    text = (FOLDER / "index.html").read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", text)


def colours(scheme: str) -> dict[str, str]:
    light, _, dark = TOKENS.partition("@media (prefers-color-scheme: dark)")
    found = re.compile(r"--(\w+): (#[0-9a-f]{6});")
    return dict(found.findall(light)) | (dict(found.findall(dark)) if scheme == "dark" else {})


def contrast(one: str, other: str) -> float:
    """By WCAG 2.2."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_a_contrast_of_4_5_and_what_is_drawn_one_of_3(scheme: str) -> None:
    found = colours(scheme)
    assert round(contrast("#000000", "#ffffff"), 3) == 21
    texts = product(("text", "quiet", "link", "good", "warn", "bad"), ("ground", "sheet"))
    pairs = [(4.5, *pair) for pair in (*texts, ("text", "mark"))]
    pairs += [(3.0, name, "sheet") for name in ("control", *(f"s{place}" for place in range(8)))]
    poor = [pair for pair in pairs if contrast(found[pair[1]], found[pair[2]]) < pair[0]]
    assert poor == []
    assert len({found[f"s{place}"] for place in range(8)}) == 8
