"""Draw plots as inline SVG. Colours are CSS variables of the page, for light and dark; tooltips show values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from pointsman.evaluation.metrics import Bin, Point

WIDTH, HEIGHT = 460, 340
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 16, 44
CELL = 34
DARK_SHARE = 0.5  # share from which a cell's text has the page's background colour


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line at a threshold."""

    at: float
    name: str


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A true class, its rows by chosen class, and the chosen classes that are correct for it."""

    name: str
    counts: Sequence[int]
    right: Sequence[str]


def reliability(bins: Sequence[Bin]) -> str:
    """Return accuracy over confidence; the diagonal is perfect calibration. Paler bars hold fewer rows."""
    most = max((bin_.rows for bin_ in bins), default=0)
    parts = [_axes("confidence", "accuracy")]
    for bin_ in bins:
        if bin_.accuracy is None or bin_.confidence is None:
            continue
        left, right, top = _x(bin_.low), _x(bin_.high), _y(bin_.accuracy)
        opacity = 0.25 + 0.6 * (bin_.rows / most) ** 0.5
        told = f"confidence {bin_.confidence:.2f}, accuracy {bin_.accuracy:.2f}, {bin_.rows:,} rows"
        parts.append(
            f'<rect x="{left + 1:.1f}" y="{top:.1f}" width="{right - left - 2:.1f}" height="{_y(0) - top:.1f}" '
            f'fill="var(--main)" fill-opacity="{opacity:.2f}"><title>{told}</title></rect>'
            f'<circle cx="{_x(bin_.confidence):.1f}" cy="{top:.1f}" r="3.2" fill="var(--main)"/>'
        )
    parts.append(f'<line x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}" class="ideal"/>')
    return _figure("".join(parts), WIDTH, HEIGHT, "reliability diagram")


def coverage(curve: Sequence[Point], marks: Sequence[Mark]) -> str:
    """Return coverage and accuracy over the threshold."""
    covered = [(point.threshold, point.coverage) for point in curve]
    right = [(point.threshold, point.accuracy) for point in curve if point.accuracy is not None]
    parts = [
        _axes("threshold", "share of the rows"),
        *(_mark(mark, row) for row, mark in enumerate(marks)),
        _line(covered, "var(--second)"),
        _line(right, "var(--main)"),
    ]
    return _figure("".join(parts), WIDTH, HEIGHT, "coverage and accuracy over thresholds")


def heat_map(rows: Sequence[MatrixRow], columns: Sequence[str]) -> str:
    """Return counts by true class and chosen class, coloured by their share of the row."""
    name_width = 7.2 * max(len(name) for name in (*columns, *(row.name for row in rows))) + 12
    width, height = name_width + CELL * len(columns) + 12, name_width + CELL * len(rows) + 8
    parts = [_column_name(name, name_width + CELL * (j + 0.5), name_width) for j, name in enumerate(columns)]
    for i, row in enumerate(rows):
        y = name_width + CELL * i
        parts.append(f'<text x="{name_width - 8:.1f}" y="{y + CELL / 2 + 4:.1f}" class="end">{escape(row.name)}</text>')
        parts += [_cell(name_width + CELL * j, y, row, column, j) for j, column in enumerate(columns)]
    return _figure("".join(parts), width, height, "confusion matrix")


def bar(share: float | None, colour: str = "var(--main)") -> str:
    """Return a share as a small bar for a table."""
    if share is None:
        return ""
    return (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="100" height="8" rx="2" fill="var(--grid)"/><rect width="{share * 100:.1f}" height="8" rx="2" '
        f'fill="{colour}"/></svg>'
    )


def _cell(x: float, y: float, row: MatrixRow, chosen: str, column: int) -> str:
    count, whole = row.counts[column], sum(row.counts)
    share = count / whole if whole else 0.0
    colour = "var(--main)" if chosen in row.right else "var(--wrong)"
    told = escape(f"{row.name} taken for {chosen}: {count:,} of {whole:,}")
    kind = "middle inverse" if share >= DARK_SHARE else "middle"
    number = f'<text x="{x + CELL / 2:.1f}" y="{y + CELL / 2 + 4:.1f}" class="{kind}">{count}</text>'
    return (
        f'<g><title>{told}</title><rect x="{x + 1:.1f}" y="{y + 1:.1f}" width="{CELL - 2}" height="{CELL - 2}" rx="3" '
        f'fill="var(--panel)"/><rect x="{x + 1:.1f}" y="{y + 1:.1f}" width="{CELL - 2}" height="{CELL - 2}" rx="3" '
        f'fill="{colour}" fill-opacity="{min(1.0, share**0.7):.2f}"/>{number if count else ""}</g>'
    )


def _column_name(name: str, x: float, y: float) -> str:
    return f'<text transform="translate({x + 4:.1f} {y - 8:.1f}) rotate(-90)">{escape(name)}</text>'


def _mark(mark: Mark, row: int) -> str:
    x, y = _x(mark.at), _y(0) - 10 - 16 * row
    side = "end" if mark.at > 0.5 else "start"  # the side with more space
    shift = -6 if side == "end" else 6
    return (
        f'<line x1="{x:.1f}" y1="{_y(0)}" x2="{x:.1f}" y2="{_y(1)}" class="mark"/>'
        f'<text x="{x + shift:.1f}" y="{y}" class="{side}">{escape(mark.name)} {mark.at:.2f}</text>'
    )


def _line(points: Sequence[tuple[float, float]], colour: str) -> str:
    path = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-linejoin="round"/>'


def _axes(x_name: str, y_name: str) -> str:
    """Return grid and ticks at fifths of both axes, which range from 0 to 1."""
    parts = []
    for fifth in range(6):
        at = fifth / 5
        parts.append(
            f'<line x1="{_x(0)}" y1="{_y(at):.1f}" x2="{_x(1)}" y2="{_y(at):.1f}" class="grid"/>'
            f'<text x="{LEFT - 8}" y="{_y(at) + 4:.1f}" class="end">{at:.1f}</text>'
            f'<text x="{_x(at):.1f}" y="{_y(0) + 18}" class="middle">{at:.1f}</text>'
        )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text x="{_x(0.5):.1f}" y="{HEIGHT - 6}" class="middle name">{x_name}</text>'
        f'<text x="14" y="{middle}" class="middle name" transform="rotate(-90 14 {middle})">{y_name}</text>'
    )
    return "".join(parts)


def _figure(content: str, width: float, height: float, name: str) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {width:.0f} {height:.0f}" style="max-width:{width * 1.25:.0f}px" '
        f'role="img" aria-label="{name}">{content}</svg>'
    )


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
