"""Draw a line plot as a standalone SVG file, readable on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 210, 16, 46
# Okabe and Ito's colours, which colour-blind people can distinguish.
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#888888", "#7a5c00", "#7b5ea7")
STYLE = (
    "text{font:12px sans-serif;fill:#444}.grid{stroke:#ddd}.end{text-anchor:end}.middle{text-anchor:middle}"
    "@media(prefers-color-scheme:dark){text{fill:#bbb}.grid{stroke:#444}}"
)


def lines(series: Mapping[str, Points], x_name: str, y_name: str, *, logarithmic: bool = False) -> str:
    """Return a plot with one line per series, named beside the plot; linear y axes begin at 0."""
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    x_ticks = sorted(set(xs)) if logarithmic else _ticks(min(0.0, *xs), max(xs))
    y_ticks = _decades(min(ys), max(ys)) if logarithmic else _ticks(0.0, max(ys))
    x = _scale(min(*xs, *x_ticks), max(*xs, *x_ticks), LEFT, WIDTH - RIGHT, logarithmic=logarithmic)
    y = _scale(min(*ys, *y_ticks), max(*ys, *y_ticks), HEIGHT - BOTTOM, TOP, logarithmic=logarithmic)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><style>{STYLE}</style>',
        *(_text(x(tick), HEIGHT - BOTTOM + 18, f"{tick:g}", "middle") for tick in x_ticks),
        *(
            f'<line x1="{LEFT}" y1="{y(tick):.1f}" x2="{WIDTH - RIGHT}" y2="{y(tick):.1f}" class="grid"/>'
            + _text(LEFT - 8, y(tick) + 4, f"{tick:g}", "end")
            for tick in y_ticks
        ),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_name, "middle"),
        f'<g transform="rotate(-90 14 {HEIGHT / 2})">{_text(14, HEIGHT / 2, y_name, "middle")}</g>',
    ]
    for index, (name, points) in enumerate(series.items()):
        colour, row = COLOURS[index % len(COLOURS)], TOP + 14 + 20 * index
        path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in points)
        dots = [
            f'<circle cx="{x(at):.1f}" cy="{y(value):.1f}" r="3"><title>{at:g}: {value:g}</title></circle>'
            for at, value in points
        ]
        parts += [
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
            f'<g fill="{colour}">{"".join(dots)}<rect x="{WIDTH - RIGHT + 14}" y="{row - 9}" width="12" height="4"/>',
            "</g>",
            _text(WIDTH - RIGHT + 32, row - 3, name, ""),
        ]
    return "".join([*parts, "</svg>\n"])


def shown(folder: Path, report: str, name: str, svg: str) -> str:
    """Write a plot beside its report; return the line that shows it."""
    file = folder / f"{report}-{name}.svg"
    file.write_text(svg)
    return f"![{name}]({file.name})"


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(text)}</text>'


def _scale(low: float, high: float, start: float, end: float, *, logarithmic: bool) -> Callable[[float], float]:
    measure: Callable[[float], float] = math.log if logarithmic else float
    span = measure(high) - measure(low) or 1.0
    return lambda value: start + (measure(value) - measure(low)) / span * (end - start)


def _decades(low: float, high: float) -> list[float]:
    return [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def _ticks(low: float, high: float) -> list[float]:
    """Return four to ten round numbers."""
    raw = (high - low or 1.0) / 5
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
    return [step * index for index in range(math.floor(low / step), math.ceil(high / step) + 1)]
