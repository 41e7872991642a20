"""The attacks, in the order of a soak: first those that need most memory, so that the end of a soak repeats them."""

from __future__ import annotations

from collections.abc import Mapping

from soak.attacks.bodies import pipelined, unfinished, worst_shapes
from soak.attacks.connections import dripping, never_read, silent
from soak.attacks.operation import adapters, hangups, log_stands_still, reloads, restarts
from soak.attacks.target import Attack, AttackedDaemon, together


async def at_once(target: AttackedDaemon) -> None:
    """Run everything that clients can do, while the log hangs and signals come."""
    each = (worst_shapes, pipelined, unfinished, never_read, silent, dripping, log_stands_still, hangups)
    await together(attack(target) for attack in each)


ATTACKS: Mapping[str, Attack] = {
    "unfinished bodies": unfinished,
    "pipelined bodies": pipelined,
    "worst bodies": worst_shapes,
    "all at once": at_once,
    "clients that never read": never_read,
    "silent connections": silent,
    "dripping clients": dripping,
    "log stands still": log_stands_still,
    "restarts of vLLM": restarts,
    "adapters come and go": adapters,
    "reloads": reloads,
    "SIGHUP storm": hangups,
}
