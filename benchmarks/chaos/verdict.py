"""Compare what clients requested, what upstreams ran and what the daemon reported. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from typing import Any

from chaos.evidence import OUTCOMES, BrokenRule, ChaosEvidence, lines_by_id
from chaos.rules.answers import answers, echoes, headers
from chaos.rules.lateness import count_over, lingering, outlived
from chaos.rules.outcomes import counts, outcomes, strangers, troubles
from chaos.rules.resources import PREFIXES, grown, leaked, left_over, quarter
from chaos.rules.runs import adapters, never_ended, orphans, prompts, repeats


def judge(evidence: ChaosEvidence) -> list[BrokenRule]:
    """Return the faults of the run."""
    asked, ran = evidence.asked, evidence.ran
    by_id = lines_by_id(evidence.lines)
    return [
        *outcomes(asked, by_id, evidence.wall, evidence.ticks),
        *strangers(asked, by_id),
        *answers(asked, ran),
        *echoes(asked, ran),
        *headers(asked, ran, by_id),
        *orphans(asked, ran),
        *prompts(asked, ran),
        *adapters(asked, ran, by_id),
        *repeats(ran, by_id),
        *never_ended(ran),
        *lingering(outlived(asked, ran, evidence.ticks)),
        *left_over(evidence.gauges),
        *counts(asked, by_id, evidence.refused, evidence.counted),
        *grown(evidence.samples),
        *leaked(evidence.start, evidence.end),
        *troubles(evidence.lines),
        *(BrokenRule("malformed", None, f"an upstream got what is no request: {text}") for text in evidence.malformed),
    ]


def figures(evidence: ChaosEvidence) -> dict[str, Any]:
    """Return the counts of a run, for its result file."""
    asked, ran = evidence.asked, evidence.ran
    ended = [line for line in evidence.lines if line["event"] in OUTCOMES]
    late = sorted(outlived(asked, ran, evidence.ticks).values())
    return {
        "requests": len(asked),
        "clients": _table((item.kind, item.end) for item in asked),
        "statuses": _count(item.status or "none" for item in asked),
        "upstreams": _table((item.behaviour, "whole" if item.whole else "not whole") for item in ran),
        "outcomes": _count(line["status"] for line in ended),
        "reasons": _count(line["reason"] for line in ended if "reason" in line),
        "models_at_the_upstream": _count(item.prompt.model for item in ran if item.prompt),
        "answers_with_their_nonce": sum(bool(item.echoed) for item in asked),
        "prefixes_of_clients_that_left": sum(item.end == "left" and item.body.size > 0 for item in asked),
        "left_in": _count(line["left_in"] for line in evidence.lines if "left_in" in line),
        "sent_again": _count(again["why"] for line in evidence.lines for again in line.get("retried", ())),
        "outlived": {
            "generations": len(late),
            "median_ms": round(statistics.median(late) * 1000, 2) if late else None,
            "worst_ms": round(late[-1] * 1000, 2) if late else None,
            "over_100_ms": count_over(late),
        },
        "descriptors": {"start": evidence.start.descriptors, "end": evidence.end.descriptors}
        | {"most": max((sample.descriptors for sample in evidence.samples), default=0)},
        "resident_mib": _resident(evidence),
        "gauges": {name: value for name, value in evidence.gauges.items() if name.startswith(PREFIXES)},
    }


def _resident(evidence: ChaosEvidence) -> dict[str, float]:
    resident = [sample.resident for sample in evidence.samples]
    found = {"start": evidence.start.resident, "third_quarter": quarter(resident, 2)}
    found |= {"last_quarter": quarter(resident, 3), "end": evidence.end.resident}
    return {name: round(value / 2**20, 1) for name, value in found.items()}


def _count(values: Iterable[object]) -> dict[str, int]:
    return dict(sorted(Counter(str(value) for value in values).items()))


def _table(pairs: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Count the pairs, by the first and then the second element."""
    table: dict[str, dict[str, int]] = {}
    for (first, second), count in sorted(Counter(pairs).items()):
        table.setdefault(first, {})[second] = count
    return table
