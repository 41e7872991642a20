"""Render a report as one self-contained HTML page: no script, no network, light and dark.

This is the only form of a report that shows prompts: those of the most confident mistakes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from pointsman.evaluation import svg
from pointsman.evaluation.dataset import OUT_OF_SCOPE
from pointsman.evaluation.evaluate import Judged, Report, Share
from pointsman.evaluation.provenance import Provenance
from pointsman.evaluation.table import artifact_line, confusions, marked, passed_rows, percent, row_count

SHOWN_MISTAKES = 25
SHOWN_CONFUSIONS = 10
SHOWN_CHARACTERS = 280

_STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --panel: #f5f7fa; --ink: #1b2430; --soft: #5d6b7c; --grid: #dfe5ec;
  --main: #1f6feb; --second: #d97706; --wrong: #d1242f; }
@media (prefers-color-scheme: dark) { :root { --page: #0f141b; --panel: #171e28; --ink: #e4eaf2; --soft: #93a1b3;
  --grid: #2a3442; --main: #58a6ff; --second: #f0a94a; --wrong: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 32px 24px 64px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 4px; }
p { margin: 0 0 12px; color: var(--soft); }
section { margin-top: 36px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(156px, 1fr)); gap: 12px; margin-top: 20px; }
.card { background: var(--panel); border-radius: 10px; padding: 14px 16px; }
.card b { display: block; font-size: 27px; line-height: 1.25; font-weight: 650; }
.card span { color: var(--soft); font-size: 13px; display: block; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 32px; }
.pair section { min-width: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 13px; }
th, td { padding: 6px 10px 6px 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
.number { text-align: right; white-space: nowrap; }
td.bars { width: 16%; vertical-align: middle; }
td.text { overflow-wrap: anywhere; }
.key { display: inline-block; width: 18px; height: 3px; vertical-align: middle; margin-right: 6px; border-radius: 2px; }
svg.plot { width: 100%; height: auto; display: block; font: 12px system-ui, sans-serif; }
svg.plot text { fill: var(--ink); }
svg.plot text.inverse { fill: var(--page); }
svg.bar { width: 100%; min-width: 70px; height: 8px; display: block; }
.end { text-anchor: end; } .middle { text-anchor: middle; } .start { text-anchor: start; }
.grid { stroke: var(--grid); } .ideal { stroke: var(--soft); stroke-dasharray: 5 4; }
.mark { stroke: var(--soft); stroke-dasharray: 2 3; }
svg.plot text.name { fill: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 20px; margin: 0; font-size: 13px; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media print { body { max-width: none; padding: 0; } section { break-inside: avoid; } }
"""


def render(report: Report, texts: Mapping[int, str]) -> str:
    """Return the page; `texts` are the prompts by line of the file."""
    about = report.provenance
    title = f"{about.artifact.name} on {about.data.name}"
    body = [
        f"<h1>{escape(title)}</h1><p>{row_count(report)}; {escape(artifact_line(about.artifact))}</p>",
        _cards(report),
    ]
    if report.judged is not None:
        body += [_plots(report, report.judged), _matrix(report, report.judged), _labels(report.judged)]
    body += [_passed(report), _mistakes(report, texts), origin(report.provenance)]
    return page(title, body)


def page(title: str, body: Sequence[str]) -> str:
    """Return a page of these parts."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _cards(report: Report) -> str:
    cards = []
    judged, outside, latency = report.judged, report.out_of_scope, report.latency
    if judged is not None:
        cards.append(("accuracy", percent(judged.accuracy.share), _interval(judged.accuracy)))
        if judged.right_model is not None:
            cards.append(("right model", percent(judged.right_model.share), _interval(judged.right_model)))
        cards.append(("macro-F1", f"{judged.macro_f1:.3f}", "mean F1 of the labels that have rows"))
        cards.append(
            ("calibration error (ECE)", f"{judged.calibration_error:.3f}", "distance of confidence and accuracy")
        )
    if outside is not None:
        cards.append(("out of scope, caught", percent(outside.caught.share), _interval(outside.caught)))
    cards.append(
        (
            "latency",
            f"{latency.median_ms:.1f} ms",
            f"median a prompt on one thread; p95 {latency.p95_ms:.1f} ms; median {latency.median_tokens:.0f} tokens",
        )
    )
    inner = "".join(f'<div class="card">{name}<b>{value}</b><span>{note}</span></div>' for name, value, note in cards)
    return f'<div class="cards">{inner}</div>'


def _interval(share: Share) -> str:
    low, high = percent(share.low).removesuffix(" %"), percent(share.high)
    return f"95 % interval {low} to {high}; {share.part:,} of {share.whole:,}".replace(" %", "\u00a0%")


def _plots(report: Report, judged: Judged) -> str:
    thresholds = report.thresholds
    named = ((thresholds.suggested, "suggested"), (thresholds.config, "config's"))
    marks = [svg.Mark(at, name) for at, name in named if at is not None]
    reliability = section(
        "Reliability",
        "On the dashed line probabilities are calibrated: of ten prompts with 0.8, eight are right. Paler bars "
        "hold fewer rows.",
        svg.reliability(judged.reliability),
    )
    rows = [
        (f"{point.threshold:.2f}", percent(point.coverage), percent(point.accuracy), mark)
        for point, mark in marked(judged, thresholds)
    ]
    coverage = section(
        "Coverage and accuracy",
        '<span class="key" style="background:var(--second)"></span>coverage: rows at or above the threshold<br>'
        '<span class="key" style="background:var(--main)"></span>accuracy among them',
        svg.coverage(judged.curve, marks),
    )
    thresholds_table = section(
        "Thresholds",
        "The share of rows above each threshold, and their accuracy.",
        table(("threshold", "coverage", "accuracy", ""), rows, (0, 1, 2)),
    )
    worst = section("Most confused", "The most frequent mistakes.", _confusions_table(report, judged))
    return f'<div class="pair">{reliability}{coverage}</div><div class="pair">{thresholds_table}{worst}</div>'


def _matrix(report: Report, judged: Judged) -> str:
    used = [i for i, name in enumerate(report.classes) if judged.labels[name].f1 is not None]
    outside = report.out_of_scope
    if outside is not None:
        used = [i for i, name in enumerate(report.classes) if i in used or name in outside.chosen]
    columns = [report.classes[i] for i in used]
    rows = [svg.MatrixRow(name := report.classes[i], [judged.confusion[i][j] for j in used], [name]) for i in used]
    if outside is not None:
        rows.append(svg.MatrixRow(OUT_OF_SCOPE, [outside.chosen.get(name, 0) for name in columns], outside.right))
    note = "A row for each true class, a column for each chosen one; the colour is the share of the row."
    return section("Confusion matrix", note, f'<div class="wide">{svg.heat_map(rows, columns)}</div>')


def _labels(judged: Judged) -> str:
    head = ("label", "rows", "precision", "", "recall", "", "F1")
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="number">{score.rows:,}</td>'
        f'<td class="number">{percent(score.precision)}</td><td class="bars">{svg.bar(score.precision)}</td>'
        f'<td class="number">{percent(score.recall)}</td><td class="bars">{svg.bar(score.recall)}</td>'
        f'<td class="number">{score.f1:.3f}</td></tr>'
        for name, score in judged.labels.items()
        if score.f1 is not None
    )
    cells = "".join(f'<th class="{"number" if i in (1, 2, 4, 6) else ""}">{name}</th>' for i, name in enumerate(head))
    note = "Precision: of the rows given a label, the share that has it. Recall: of its own rows, the share given it."
    return section("Labels", note, f'<div class="wide"><table><tr>{cells}</tr>{rows}</table></div>')


def _confusions_table(report: Report, judged: Judged) -> str:
    rows = [
        (truth, chosen, f"{count:,}", percent(count / judged.labels[truth].rows))
        for truth, chosen, count in confusions(report, judged)[:SHOWN_CONFUSIONS]
    ]
    return table(("is", "taken for", "rows", "of its label"), rows, (2, 3))


def _passed(report: Report) -> str:
    head, *rows = passed_rows(report)
    note = "Reach: the share of a class's own rows that get it. Precision: the share of its own among all that get it."
    return section("Thresholds by class", note, f'<div class="wide">{table(head, rows, range(1, len(head)))}</div>')


def _mistakes(report: Report, texts: Mapping[int, str]) -> str:
    rows = [
        (f"{mistake.confidence:.2f}", mistake.truth, mistake.chosen, str(mistake.line), shorten(texts[mistake.line]))
        for mistake in report.mistakes[:SHOWN_MISTAKES]
    ]
    if not rows:
        return section("Most confident mistakes", "None.", "")
    note = "Wrong with high confidence: the file has a wrong label, or the classifier never learned such text."
    found = table(("confidence", "is", "taken for", "line", "prompt"), rows, (0, 3), text=4)
    return section("Most confident mistakes", note, f'<div class="wide">{found}</div>')


def origin(known: Provenance) -> str:
    """Return the section about what a result was made of."""
    pairs = [("artifact", f"{known.artifact.name}, SHA-256 of its manifest {known.artifact.sha256}")]
    pairs += [(name, f"SHA-256 {digest}") for name, digest in known.artifact.files.items()]
    if known.against is not None:
        pairs.append(("against", f"{known.against.name}, SHA-256 of its manifest {known.against.sha256}"))
    pairs.append(("data", f"{known.data.name}, SHA-256 {known.data.sha256}"))
    if known.config is not None:
        pairs.append(("config", f"{known.config.name}, SHA-256 {known.config.sha256}"))
    pairs += [
        ("machine", ", ".join(f"{name} {value}" for name, value in known.machine.items())),
        ("versions", ", ".join(f"{name} {version}" for name, version in known.versions.items())),
        ("time", known.time),
    ]
    inner = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    return section("Provenance", "", f"<dl>{inner}</dl>")


def section(title: str, note: str, content: str) -> str:
    """Return a part of the page; title, note and content are HTML."""
    return f"<section><h2>{title}</h2>{f'<p>{note}</p>' if note else ''}{content}</section>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int], text: int = -1) -> str:
    """Return a table of plain texts; `numbers` are the columns of numbers, `text` is that of a long text."""
    kinds = ["number" if i in numbers else "text" if i == text else "" for i in range(len(head))]
    first = "".join(f'<th class="{kind}">{name}</th>' for kind, name in zip(kinds, head, strict=True))
    body = "".join(
        "<tr>" + "".join(f'<td class="{k}">{escape(cell)}</td>' for k, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{first}</tr>{body}</table>"


def shorten(text: str) -> str:
    """Return the head and tail of a prompt, on a few lines."""
    flat = " ".join(text.split())
    if len(flat) <= SHOWN_CHARACTERS:
        return flat
    tail = SHOWN_CHARACTERS // 3
    return f"{flat[: SHOWN_CHARACTERS - tail]} … {flat[-tail:]}"
