"""Render a replay as one self-contained HTML page, with a sample of each change."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pointsman.evaluation import html
from pointsman.evaluation.evaluate import Share
from pointsman.evaluation.replay import Replay, Sample, Step
from pointsman.evaluation.table import interval, percent

SHOWN_CHANGES = 40


def render(replay: Replay, samples: Sequence[Sample]) -> str:
    """Return the page; `samples` have texts of users, which no other form of the report shows."""
    origin = replay.provenance
    title = f"{replay.before} to {replay.after}"
    about = (
        f"{origin.data.name}: {replay.logged:,} decisions, {replay.changed.whole:,} decided again "
        f"({replay.texts:,} texts)"
    )
    body = [
        f"<h1>{escape(title)}</h1><p>{escape(about)}</p>",
        _cards(replay),
        _changes(samples, replay.changed.whole),
        *(_sample(sample) for sample in samples[:SHOWN_CHANGES]),
        _sweep(replay.sweep),
        html.origin(origin),
    ]
    return html.page(title, body)


def _cards(replay: Replay) -> str:
    shares: list[tuple[str, Share | None]] = [
        ("another category", replay.changed),
        ("another model", replay.other_model),
        (f"{replay.before} decides as the log", replay.as_logged),
    ]
    inner = "".join(
        f'<div class="card">{escape(name)}<b>{percent(share.share)}</b><span>{escape(interval(share))}</span></div>'
        for name, share in shares
        if share is not None
    )
    return f'<div class="cards">{inner}</div>'


def _changes(samples: Sequence[Sample], whole: int) -> str:
    if not samples:
        return html.section("What changes", "Nothing.", "")
    rows = [(one.before, one.after, f"{one.requests:,}", percent(one.requests / whole)) for one in samples]
    table = html.table(("from", "to", "requests", "of all"), rows, (2, 3))
    return html.section("What changes", "By frequency.", f'<div class="wide">{table}</div>')


def _sample(sample: Sample) -> str:
    title = escape(f"{sample.before} to {sample.after}")
    note = f"{sample.requests:,} requests" + ("; some of their texts:" if sample.texts else ", without texts")
    rows = [(html.shorten(text),) for text in sample.texts]
    return html.section(title, note, html.table(("text",), rows, (), text=0) if rows else "")


def _sweep(steps: Sequence[Step]) -> str:
    rows = [(f"{step.threshold:.2f}", percent(step.sure), percent(step.changed)) for step in steps]
    note = "At each threshold, of the texts by themselves: the share that reaches it, and the share that changes."
    return html.section("Thresholds", note, html.table(("threshold", "sure", "changed"), rows, (0, 1, 2)))
