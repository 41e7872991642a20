"""Check that each client received its own answer: the bytes that its upstream sent, under its own headers."""

from __future__ import annotations

from collections.abc import Iterable

from chaos.evidence import OUR_CODES, BrokenRule, ClientRequest, Lines, UpstreamRequest, decided, runs_by_id


def answers(asked: Iterable[ClientRequest], ran: Iterable[UpstreamRequest]) -> list[BrokenRule]:
    """Check that responses that look complete equal the upstream's, and that incomplete ones are visibly broken.

    The part of a response that a client received before it left, or before the response broke off, is a prefix of what
    the upstream sent.
    """
    runs = runs_by_id(ran)
    faults = []
    for item in asked:
        if item.status is None:
            continue
        run = runs[item.id][-1] if item.id in runs else None
        if run is None:
            rule, why = "answer", "and no upstream was asked" if item.status < 400 else None
        elif run.status != item.status or item.code in OUR_CODES:
            rule, why = "answer", _replaced(item, run)
        else:
            rule, why = _passed_on(item, run)
        if why:
            behaviour = run.behaviour if run else item.kind
            faults.append(BrokenRule(rule, item.id, f"({behaviour}) {item.status}, {why}"))
    return faults


def _replaced(item: ClientRequest, run: UpstreamRequest) -> str | None:
    """Return what is wrong with a response that is not the upstream's."""
    if item.code not in OUR_CODES:
        return f"in place of the upstream's {run.status}, and no code of ours says why"
    if run.whole and not run.torn and item.code != "upstream_timeout":
        return f"in place of the upstream's {run.status}"
    return None


def _passed_on(item: ClientRequest, run: UpstreamRequest) -> tuple[str, str | None]:
    """Return the rule that a response of the upstream's broke, and how."""
    if item.end == "whole" and not run.whole:
        return "answer", "a broken answer that looks whole"
    if item.end == "cut" and run.whole and not run.torn:
        return "answer", "a whole answer that was broken"
    if item.end == "whole" and item.body != run.sent():
        return "answer", f"{item.body} arrived, {run.sent()} was sent"
    if item.body != run.sent(item.body.size):
        return "prefix", f"{item.body} arrived, which is not how the {run.sent().size} bytes begin that were sent"
    return "answer", None


def echoes(asked: Iterable[ClientRequest], ran: Iterable[UpstreamRequest]) -> list[BrokenRule]:
    """Check that a body has the nonce of its own prompt, and no other; only an upstream's whole body must have one."""
    runs = runs_by_id(ran)
    faults = []
    for item in asked:
        own = frozenset([item.prompt.nonce]) if item.prompt else frozenset()
        if others := item.echoed - own:
            faults.append(
                BrokenRule("echo", item.id, f"the answer to {' '.join(sorted(others))}, not to {' '.join(own)}")
            )
        elif item.id in runs and item.end == "whole" and item.echoed != own and not _silent(item, runs[item.id][-1]):
            faults.append(BrokenRule("echo", item.id, "a whole answer without the nonce of its prompt"))
    return faults


def _silent(item: ClientRequest, run: UpstreamRequest) -> bool:
    """Return whether a response has no nonce by right: it is Pointsman's, or its upstream had not read the prompt."""
    return run.status != item.status or item.code in OUR_CODES or run.prompt is None


def headers(asked: Iterable[ClientRequest], ran: Iterable[UpstreamRequest], lines: Lines) -> list[BrokenRule]:
    """Check that the headers of a response are those of its own request: id, decision and the upstream's nonce.

    A response that an upstream sent must have the decision.
    """
    runs = runs_by_id(ran)
    faults = []
    for item in asked:
        if item.status is None or item.expected == "refused unread":
            continue
        found = lines.get(item.id, ())
        logged = decided(found[0]) if found else None
        run = runs[item.id][-1] if item.id in runs else None
        if item.shown.id != item.id:
            why: str | None = f"X-Request-Id is {item.shown.id}"
        elif item.shown.nonce and (item.prompt is None or item.shown.nonce != item.prompt.nonce):
            why = f"an upstream's header for {item.shown.nonce}"
        elif item.shown.decided is None:
            passed_on = run is not None and run.status == item.status and item.code not in OUR_CODES
            why = "no decision" if passed_on else None
        else:
            why = f"they say {item.shown.decided}, the log {logged}" if item.shown.decided != logged else None
        if why:
            faults.append(BrokenRule("headers", item.id, why))
    return faults
