"""What the docs say of measurements follows from the result files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import pytest
import report
from target import median, ratio

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = (
    "README.md",
    "CHANGELOG.md",
    *(f"docs/{name}.md" for name in ("operations", "behaviour", "ask", "fit", "model-card")),
)


class Claim(NamedTuple):
    """Figures of a page: the groups of a pattern, and the same from a result file."""

    page: str
    said: str
    result: str
    found: Callable[[Any], Sequence[float]]
    apart: float = 0.0
    """How far they may be apart beside their rounding, as a share: what depends on the machine is never the same."""


def of_fleets(result: Any) -> list[float]:
    """The percents of prompts that get their adapter, and of outsiders that get none, of each way without `fit`."""
    return [
        100 * sum(row[part] for row in rows) / sum(row[whole] for row in rows)
        for way in ("one sentence", "six examples")
        for rows in [[row for row in result["rows"] if row["way"] == way]]
        for part, whole in (("right", "prompts"), ("kept", "outsiders"))
    ]


def of_scale(result: Any) -> list[float]:
    """The largest share of the time that one scale for a run saves, from 32 tokens on."""
    lengths = [cells.items() for cells in result["found"]["ms"].values()]
    found = [ms for cells in lengths for tokens, ms in cells if int(tokens) >= 32]
    pairs = [(ms["ours int8 per tensor"], ms["ours int8 per token"]) for ms in found]
    return [100 * max(1 - ratio(tensor, token) for tensor, token in pairs)]


def of_memory(result: Any) -> list[float]:
    """The peaks of the config as shipped, and the least limit that it lived with, and the greatest that killed it."""
    shipped = result["memory_mib"]["the three adapters as shipped"]
    limits = {int(mib): lived["bodies"] for mib, lived in result["memory_max"].items()}
    least = min(mib for mib, lived in limits.items() if lived)
    return [shipped["ready_peak"], shipped["bodies_peak"], least, max(mib for mib in limits if mib < least)]


def of_quotas(result: Any) -> list[float]:
    half, one = (result["cpu_quota"][quota] for quota in ("50", "100"))
    return [half["stopped"], half["stopped_ms"], one["stopped"]]


CLAIMS = (
    Claim(
        "README.md",
        r"a sentence sends (\d+) % .* keeps (\d+) % .* it is (\d+) % and (\d+) %",
        "fleets",
        of_fleets,
    ),
    Claim(
        "docs/operations.md",
        r"own peak was (\d+) MiB at the start and (\d+) MiB with eight bodies of 32 MiB at once; it lived with (\d+)M, "
        r"and was killed by such bodies with (\d+)M",
        "limits",
        of_memory,
    ),
    Claim(
        "docs/operations.md",
        r"a quota of 50% stopped the service (\d+) times in 10 s, for (\d+) ms each time, 100% (\d+) time",
        "limits",
        of_quotas,
    ),
    Claim(
        "CHANGELOG.md",
        r"on one core of an EPYC of family (\d+) ([\d.]+) and ([\d.]+) ms for 32 and 128 tokens",
        "inference-built_in",
        lambda result: [
            float(result["machine"]["family"]),
            *(median(result["found"]["ms"][tokens]["1"]) for tokens in ("32", "128")),
        ],
        0.15,
    ),
    Claim("README.md", r"From 32 tokens on it takes up to (\d+) % less time", "inference-batch1", of_scale, 0.4),
    Claim(
        "docs/fit.md",
        r"20 rows for each give an accuracy of ([\d.]+), and 100 give ([\d.]+)",
        "fit",
        lambda result: [result["others"]["hwu64"]["accuracy"][rows] for rows in ("20", "100")],
        0.02,
    ),
    Claim(
        "docs/model-card.md",
        r"mean of the four sets of `make bench-fit`: ([\d.]+),",
        "fit",
        lambda result: [mean(each["few_rows"]["8"]["alone"] for each in result["sets"].values())],
    ),
    Claim(
        "docs/model-card.md",
        r"With ExpertQA alone held out, ([\d.]+) of its labels are right, and ([\d.]+) reach the right model",
        "held-out-expertqa",
        lambda result: [result["validation"]["expertqa"][each] for each in ("labels", "right_model")],
    ),
    Claim(
        "docs/model-card.md",
        r"\*\*shipped:\*\* the same, with the cosine in the loss \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|",
        "held-out",
        lambda result: [
            *(result["validation"]["expertqa"][each] for each in ("labels", "right_model")),
            result["validation"]["out_of_scope_caught"],
        ],
    ),
    Claim(
        "docs/model-card.md",
        r"\(`tests/data/prompts.jsonl`\): (\d+) prompts",
        "accuracy-prompts",
        lambda result: [result["rows"]],
    ),
)
"""Every figure that was measured, of `PAGES` and outside of what `make docs` writes."""

BOUNDS = (
    Claim(
        "docs/behaviour.md",
        r"delays other requests by more than (\d+) ms",
        "bodies",
        lambda result: [max(each["max_ms"] for each in result["bodies"].values())],
    ),
    Claim(
        "docs/behaviour.md",
        r"the tests hold this to (\d+) % of 1,000 runs",
        "rollout",
        lambda result: [
            100
            * max(each["verdicts"] for name, each in result["simulated"].items() if name.startswith("no difference"))
        ],
    ),
)
"""Figures that nothing measured exceeds."""


@cache
def text(page: str) -> str:
    """Return a page without what `make docs` writes, each paragraph on a line of its own."""
    written = re.sub(f"{report.BEGIN}.*?{report.END}", "", (ROOT / page).read_text("utf-8"), flags=re.DOTALL)
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in written.split("\n\n"))


def compared(claim: Claim) -> list[tuple[str, float]]:
    """Return each figure as it is said, and as it was measured."""
    said = re.search(claim.said, text(claim.page))
    assert said, f"{claim.page} does not say {claim.said}"
    found = claim.found(json.loads((RESULTS / f"{claim.result}.json").read_text("utf-8")))
    return list(zip(said.groups(), found, strict=True))


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_figure_of_the_docs_is_the_one_that_was_measured(claim: Claim) -> None:
    for said, found in compared(claim):
        rounding = 0.5 * 10 ** -len(said.partition(".")[2])

        assert abs(float(said) - found) <= 1.001 * rounding + claim.apart * found, (said, found)


@pytest.mark.parametrize("claim", BOUNDS)
def test_nothing_that_was_measured_exceeds_a_bound_of_the_docs(claim: Claim) -> None:
    assert [each for each in compared(claim) if each[1] > float(each[0])] == []


MEASURED = re.compile(r"\d ?(%|ms|µs|us|MiB|KiB)(?!\w)|\b0\.\d{2}")


def test_each_table_of_figures_says_where_they_are_from() -> None:
    """What `make docs` writes does; before another table stands a result file, or the commit of a record."""
    unsaid = []
    for page in PAGES:
        before = ""
        for paragraph in text(page).split("\n\n"):
            if not paragraph.startswith("|"):
                before += f"{paragraph}\n"
            elif "---:" in paragraph and not SOURCE.search(before):
                unsaid.append((page, paragraph[:120]))
            before = "" if paragraph.startswith(("|", "#")) else before

    assert unsaid == []


BY_CHOICE = re.compile(r"keeps 0.95 of")


def test_no_paragraph_with_a_result_and_a_figure_is_unchecked() -> None:
    patterns = {page: [each.said for each in (*CLAIMS, *BOUNDS) if each.page == page] for page in PAGES}
    unchecked = [
        paragraph
        for page in PAGES
        for paragraph in text(page).split("\n\n")
        if "benchmarks/results/" in paragraph and MEASURED.search(BY_CHOICE.sub("", paragraph))
        if not any(re.search(said, paragraph) for said in patterns[page])
    ]

    assert unchecked == []


WRITTEN = {
    "docs/benchmarks.md": report.benchmarks,
    "docs/model-card.md": report.model_card,
    "daemon/pointsman/assets/builtin/README.md": report.model_card,
    "docs/operations.md": report.sizing,
}


@pytest.mark.parametrize("page", WRITTEN)
def test_what_make_docs_writes_follows_from_the_result_files(page: str) -> None:
    assert "\n".join(WRITTEN[page]()) in (ROOT / page).read_text("utf-8"), "run `make docs`"


DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
SOURCE = re.compile(r"benchmarks/results/|\bcommit [0-9a-f]{7}\b")
NOT_MEASURED = {"0001-batching-without-a-timer.md", "0003-int8-scales-per-token.md"}
"""Decisions whose figures were chosen or follow from a formula."""


@pytest.mark.parametrize("page", [page for page in DECISIONS if page.name not in NOT_MEASURED])
def test_a_decision_with_figures_says_where_they_are_from(page: Path) -> None:
    """A result file, or the commit at which they were measured."""
    text = page.read_text("utf-8")

    assert SOURCE.search(text) or not MEASURED.search(text)
