"""Check that each run at an upstream is of a client's request: its prompt, for the model that was decided, once."""

from __future__ import annotations

from collections.abc import Iterable

from chaos.evidence import BrokenRule, ClientRequest, Lines, UpstreamRequest, decided, runs_by_id
from chaos.prompt import ReportedDecision

FALLBACKS = tuple(ReportedDecision("base", reason) for reason in ("deadline", "overloaded", "classifier_error"))
"""The decisions that any prompt for `auto` may get, since a busy classifier may be late."""


def orphans(asked: Iterable[ClientRequest], ran: Iterable[UpstreamRequest]) -> list[BrokenRule]:
    """Check that each run has a client that sent a whole request under its id."""
    known = {item.id for item in asked if item.prompt is not None}
    return [
        BrokenRule("orphan", run.id, f"({run.behaviour}) a run that nobody asked for")
        for run in ran
        if run.id not in known
    ]


def prompts(asked: Iterable[ClientRequest], ran: Iterable[UpstreamRequest]) -> list[BrokenRule]:
    """Check that an upstream got the prompt that the client sent under this id, unchanged but for the model."""
    sent = {item.id: item.prompt for item in asked if item.prompt is not None}
    faults = []
    for run in ran:
        own = sent.get(run.id)
        if own is None or run.prompt is None:
            continue
        if run.prompt.nonce != own.nonce:
            faults.append(
                BrokenRule("prompt", run.id, f"the upstream got {run.prompt.nonce}, its client sent {own.nonce}")
            )
        elif run.prompt.digest != own.digest:
            faults.append(BrokenRule("prompt", run.id, "the upstream got another body than its client sent"))
    return faults


def adapters(asked: Iterable[ClientRequest], ran: Iterable[UpstreamRequest], lines: Lines) -> list[BrokenRule]:
    """Check that the decision is the one that the prompt was made for, and that the upstream got its model."""
    runs = runs_by_id(ran)
    faults = []
    for item in asked:
        logged = next((found for line in lines.get(item.id, ()) if (found := decided(line))), None)
        explicit = item.wanted is not None and item.wanted.reason == "explicit_model"
        allowed = (item.wanted,) if explicit else (item.wanted, *FALLBACKS)
        if logged is not None and logged not in allowed:
            faults.append(BrokenRule("adapter", item.id, f"decided {logged}, its prompt was made for {item.wanted}"))
        faults.extend(
            BrokenRule("adapter", item.id, f"the upstream got {run.prompt.model}, the log has {logged}")
            for run in runs.get(item.id, ())
            if run.prompt is not None and (logged is None or run.prompt.model != logged.model)
        )
    return faults


def repeats(ran: Iterable[UpstreamRequest], lines: Lines) -> list[BrokenRule]:
    """Check that retries are logged, and never follow a response that began or a new connection."""
    faults = []
    for name, items in runs_by_id(ran).items():
        retried = [again for line in lines.get(name, ()) for again in line.get("retried", ())]
        if len(items) - 1 > len(retried):
            faults.append(BrokenRule("repeat", name, f"{len(items)} runs, and the log tells of {len(retried)} repeats"))
        faults.extend(
            BrokenRule("repeat", name, f"({item.behaviour}) sent again although its answer may have begun")
            for item in items[:-1]
            if item.status is not None or item.alone
        )
    return faults


def never_ended(ran: Iterable[UpstreamRequest]) -> list[BrokenRule]:
    """Check for generations that still run after all clients are gone."""
    return [BrokenRule("running", item.id, f"({item.behaviour}) still runs") for item in ran if item.ended is None]
