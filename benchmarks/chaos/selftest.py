"""Inject faults on the wire, and check that the verdict names each of them and nothing else."""

from __future__ import annotations

import contextlib
import math
import random
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chaos.clients import RandomClients
from chaos.evidence import BrokenRule, ChaosEvidence, ClientRequest
from chaos.injection import BEYOND_CLIENTS, IN_BODIES, NAMES, Injector
from chaos.relay import ClientRelay, UpstreamRelay
from chaos.run import config
from chaos.upstream import ChaoticUpstream
from chaos.verdict import judge
from chaos.watch import EvidenceCollector
from support.daemon import run_daemon

KINDS = ("whole answer", "stream", "stream", "one connection", "leaves in the answer", "leaves in the answer")
"""Clients that send whole requests and wait for an answer; upstreams behave well, so that each fault can be seen."""


async def run(folder: Path, seconds: float, seed: int, *, each: float = math.inf) -> dict[str, Any]:
    """Inject faults; return how many of each were named, and what is wrong with the verdict.

    It takes at most `seconds`, less if each fault was injected `each` times before.
    """
    injector = Injector(random.Random(f"{seed} faults"))
    upstreams = [ChaoticUpstream(random.Random(f"{seed} {name}")) for name in "ab"]
    async with contextlib.AsyncExitStack() as stack:
        ports = []
        for upstream in upstreams:
            await stack.enter_async_context(upstream.listening())
            relay = UpstreamRelay(f"http://127.0.0.1:{upstream.port}", injector)
            await relay.listen()
            stack.push_async_callback(relay.end)
            ports.append(relay.port)
        daemon = await stack.enter_async_context(run_daemon(config(folder, *ports), folder))
        watch = await EvidenceCollector.begin(daemon, upstreams)
        relay_to_daemon = ClientRelay(daemon.base_url, injector)
        await relay_to_daemon.listen()
        stack.push_async_callback(relay_to_daemon.end)
        clients = RandomClients(f"http://127.0.0.1:{relay_to_daemon.port}", random.Random(seed), KINDS)
        injector.active = True
        evidence = await watch.end(
            clients, await watch.chaos(clients, seconds, lapses=False, enough=lambda: injector.each() >= each)
        )
    return examine(evidence, judge(evidence), injector.injected)


def examine(evidence: ChaosEvidence, faults: list[BrokenRule], injected: Mapping[str, set[str]]) -> dict[str, Any]:
    """Compare the faults that the verdict found with those that were injected."""
    asked = {item.id: item for item in evidence.asked}
    named: dict[str, set[str]] = defaultdict(set)
    for fault in faults:
        if fault.id is not None:
            named[fault.id].add(fault.rule)
    missed, table = [], {}
    for fault_name, rules in NAMES.items():
        visible = {name for name in injected.get(fault_name, ()) if _visible(fault_name, asked.get(name))}
        found = {name for name in visible if named[name] & rules}
        missed += [f"{fault_name}: {name}" for name in sorted(visible - found)]
        if not visible:
            missed.append(f"{fault_name}: never injected where it can be seen")
        table[fault_name] = {"injected": len(visible), "named": len(found)}
    guilty = {name for names in injected.values() for name in names}
    false_alarms = [str(fault) for fault in faults if fault.id not in guilty and not _about_all(fault)]
    return {"requests": len(evidence.asked), "faults": table, "missed": missed, "false_alarms": false_alarms}


def _visible(fault_name: str, item: ClientRequest | None) -> bool:
    """Return whether the fault happened where the evidence has it; a client that left early may have missed it."""
    if fault_name in BEYOND_CLIENTS:
        return True
    if item is None or item.status is None:
        return False
    return item.body.size > 0 or fault_name not in IN_BODIES


def _about_all(fault: BrokenRule) -> bool:
    """Return whether the fault is that many generations were late, which follows from those that were made so."""
    return fault.rule == "late" and fault.id is None
