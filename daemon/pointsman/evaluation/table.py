"""Render a report for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.columns import columns
from pointsman.evaluation.evaluate import EvaluationReport, InScopeMetrics, Proportion, Thresholds
from pointsman.evaluation.metrics import CoveragePoint
from pointsman.evaluation.provenance import ArtifactId
from pointsman.improve.labels_file import OUT_OF_SCOPE

MAX_CONFUSIONS = 10
MAX_CHOSEN_MODELS = 6
SHOWN_MISTAKES = 10


def render(report: EvaluationReport) -> str:
    """Return the whole report, with lines of up to about 90 characters."""
    origin = report.provenance
    blocks = [[f"{origin.artifact.name} on {origin.data.name}: {_row_count(report)}", artifact_line(origin.artifact)]]
    if report.judged is not None:
        blocks += [
            list(_summary(report.judged)),
            list(_labels(report.judged)),
            list(_confusions(report, report.judged)),
            list(_curve(report.judged, report.thresholds)),
        ]
    blocks += [
        list(columns(_passed(report), left=1)),
        list(_out_of_scope(report)),
        list(_mistakes(report)),
        list(_latency(report)),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _row_count(report: EvaluationReport) -> str:
    """Return the number of rows behind the figures, and of those left out."""
    left_out = report.provenance.fitted_rows
    return f"{report.rows:,} rows" + (f", without {left_out:,} that were used to fit the artifact" if left_out else "")


def artifact_line(artifact: ArtifactId) -> str:
    """Return a one-line description of an artifact."""
    suggested = artifact.suggested_threshold
    return (
        f"{artifact.precision}, {artifact.labels} labels, temperature {artifact.temperature:.2f}, suggested threshold "
        f"{'none' if suggested is None else format(suggested, '.2f')}, SHA-256 {artifact.sha256[:12]}…"
    )


def percent(share: float | None) -> str:
    """Return a percentage such as `81.3 %`, or a dash."""
    return "-" if share is None else f"{share * 100:.1f} %"


def interval(share: Proportion) -> str:
    """Return a share with its interval and rows."""
    low, high = percent(share.low).removesuffix(" %"), percent(share.high)
    return f"{percent(share.share)}  (95 %: {low} to {high}; {share.part:,} of {share.whole:,})"


def _passed(report: EvaluationReport) -> list[tuple[str, ...]]:
    """Return the head and the rows of a table of both errors at the thresholds."""
    head = ("class", "threshold", "reach", "95 %", "precision", "95 %")
    return [
        head,
        *(
            (name, f"{one.threshold:.4g}", *_share(one.reach), *_share(one.precision))
            for name, one in report.passed.items()
        ),
    ]


def _share(found: Proportion | None) -> tuple[str, str]:
    if found is None:
        return "-", ""
    return percent(found.share), f"{percent(found.low).removesuffix(' %')} to {percent(found.high)}"


def _confused(report: EvaluationReport, judged: InScopeMetrics) -> list[tuple[str, str, int]]:
    """Return true class, chosen class and rows of every mistake, the most frequent first."""
    names = report.classes
    pairs = (
        (names[i], names[j], count)
        for i, row in enumerate(judged.confusion)
        for j, count in enumerate(row)
        if i != j and count
    )
    return sorted(pairs, key=lambda pair: -pair[2])


def _marked(judged: InScopeMetrics, thresholds: Thresholds) -> list[tuple[CoveragePoint, str]]:
    """Return the curve's points at tenths and at the named thresholds."""
    names = {thresholds.suggested: "the artifact's", thresholds.config: "the config's"}
    if thresholds.suggested == thresholds.config:
        names = {thresholds.config: "the artifact's and the config's"}
    points = ((point, names.get(point.threshold, "")) for point in judged.curve)
    return [(point, mark) for point, mark in points if mark or round(point.threshold * 10, 6) % 1 == 0]


def _summary(judged: InScopeMetrics) -> Iterator[str]:
    yield f"accuracy     {interval(judged.accuracy)}"
    if judged.right_model is not None:
        yield f"right model  {interval(judged.right_model)}"
    yield f"macro-F1     {judged.macro_f1:.3f}"
    yield f"ECE          {judged.calibration_error:.3f}  (mean distance of confidence and accuracy, 15 bins)"


def _labels(judged: InScopeMetrics) -> Iterator[str]:
    rows = [("label", "rows", "precision", "recall", "F1")]
    rows += [
        (name, f"{score.rows:,}", percent(score.precision), percent(score.recall), _number(score.f1))
        for name, score in judged.labels.items()
        if score.f1 is not None
    ]
    return columns(rows, left=1)


def _confusions(report: EvaluationReport, judged: InScopeMetrics) -> Iterator[str]:
    pairs = _confused(report, judged)[:MAX_CONFUSIONS]
    if not pairs:
        return iter(())
    rows = [("most confused", "taken for", "rows", "of its label")]
    rows += [
        (truth, chosen, f"{count:,}", percent(count / judged.labels[truth].rows)) for truth, chosen, count in pairs
    ]
    return columns(rows, left=2)


def _curve(judged: InScopeMetrics, thresholds: Thresholds) -> Iterator[str]:
    rows = [("threshold", "coverage", "accuracy", "")]
    rows += [
        (f"{point.threshold:.2f}", percent(point.coverage), percent(point.accuracy), f"<- {mark}" if mark else "")
        for point, mark in _marked(judged, thresholds)
    ]
    width = max(len(row[3]) for row in rows)
    return columns([(*row[:3], row[3].ljust(width)) for row in rows], left=0)


def _out_of_scope(report: EvaluationReport) -> Iterator[str]:
    found = report.out_of_scope
    if found is None:
        return
    yield f"{OUT_OF_SCOPE} caught  {interval(found.caught)}, threshold {found.threshold:.2f}"
    most = list(found.chosen.items())[:MAX_CHOSEN_MODELS]
    yield "  chosen: " + ", ".join(f"{name} {count:,}" for name, count in most)


def _mistakes(report: EvaluationReport) -> Iterator[str]:
    """Return a table of the most confident mistakes by their lines, so that it can be shared without the prompts."""
    if not report.mistakes:
        return iter(())
    rows = [("most confident mistakes: line", "is", "taken for", "confidence")]
    rows += [
        (str(one.line), one.truth, one.chosen, f"{one.confidence:.2f}") for one in report.mistakes[:SHOWN_MISTAKES]
    ]
    return columns(rows, left=3)


def _latency(report: EvaluationReport) -> Iterator[str]:
    latency, machine = report.latency, report.provenance.machine
    yield (
        f"latency  median {latency.median_ms:.2f} ms, p95 {latency.p95_ms:.2f} ms per prompt "
        f"({latency.timed:,} prompts alone on one thread; {machine['cpu']})"
    )
    if report.unsupported:
        yield f"language {report.unsupported:,} of {report.rows:,} prompts are in none that the artifact declares"
    yield (
        f"tokens   median {latency.median_tokens:.0f}, p95 {latency.p95_tokens:.0f}; "
        f"{latency.cut:,} of {report.rows:,} prompts were truncated to {latency.max_tokens}"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
