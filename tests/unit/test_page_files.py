"""The files of the page: how they are served, and what may not be in them."""

from __future__ import annotations

import asyncio
import math
import re
from itertools import combinations, pairwise, product
from pathlib import Path
from typing import Any, cast

import pytest

from pointsman.api import page
from pointsman.api.page.files import page_routes
from pointsman.server.response import Response

FOLDER = Path(page.__file__).parent / "static"
SCRIPTS = sorted(FOLDER.glob("*.js"))
TOKENS = (FOLDER / "tokens.css").read_text("utf-8")
STYLE = (FOLDER / "page.css").read_text("utf-8")


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
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"


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


def colors(scheme: str) -> dict[str, str]:
    light, _, dark = TOKENS.partition("@media (prefers-color-scheme: dark)")
    found = re.compile(r"--(\w+): (#[0-9a-f]{6});")
    return dict(found.findall(light)) | (dict(found.findall(dark)) if scheme == "dark" else {})


def contrast(one: str, other: str) -> float:
    """By WCAG 2.2."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    red, green, blue = _linear(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(color: str) -> list[float]:
    parts = [int(color[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def mixed(one: str, other: str, share: float) -> str:
    """By `color-mix(in srgb, one share, other)`."""
    pairs = ((int(one[index : index + 2], 16), int(other[index : index + 2], 16)) for index in (1, 3, 5))
    return "#" + "".join(f"{round(share * first + (1 - share) * second):02x}" for first, second in pairs)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_a_contrast_of_4_5_and_what_is_drawn_one_of_3(scheme: str) -> None:
    found = colors(scheme)
    assert round(contrast("#000000", "#ffffff"), 3) == 21
    texts = product(("text", "quiet", "link", "good", "warn", "bad"), ("ground", "sheet"))
    pairs = [(4.5, *pair) for pair in (*texts, ("text", "mark"))]
    pairs += [(3.0, name, "sheet") for name in ("control", "gray", *(f"s{index}" for index in range(12)))]
    poor = [pair for pair in pairs if contrast(found[pair[1]], found[pair[2]]) < pair[0]]
    assert poor == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_twelve_models_have_colors_apart_and_more_have_shades_that_are_seen_as_well(scheme: str) -> None:
    found = colors(scheme)
    base = [found[f"s{index}"] for index in range(12)]
    assert min(_distance(one, other) for one, other in combinations(base, 2)) > 0.07
    assert min(_distance(one, other) for one, other in pairwise(base)) > 0.15, "of neighbors in a chart"
    shades = [1.0, *(int(share) / 100 for share in re.findall(r"--pure: (\d+)%", STYLE))]
    looks = [mixed(color, found["text"], share) for share in shades for color in base]
    assert len(set(looks)) == len(looks) == 60
    assert [look for look in looks if contrast(look, found["sheet"]) < 3] == []


def _distance(one: str, other: str) -> float:
    """In OKLab, in which 0.02 is just seen side by side."""
    return math.dist(_oklab(one), _oklab(other))


def _oklab(color: str) -> tuple[float, ...]:
    red, green, blue = _linear(color)
    rows = ((0.4122215, 0.5363325, 0.0514460), (0.2119035, 0.6806995, 0.1073970), (0.0883025, 0.2817188, 0.6299787))
    long, middle, short = (math.cbrt(row[0] * red + row[1] * green + row[2] * blue) for row in rows)
    return (
        0.2104543 * long + 0.7936178 * middle - 0.0040720 * short,
        1.9779985 * long - 2.4285922 * middle + 0.4505937 * short,
        0.0259040 * long + 0.7827718 * middle - 0.8086758 * short,
    )


def test_the_page_is_small() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 200_000
