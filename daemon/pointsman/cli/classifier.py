"""Implement `pointsman classifier`: list a running service's classifiers, promote one, go back, discard one."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pointsman.cli.admin_client import AdminPort, ask, read, show, warn_of_trouble
from pointsman.cli.question import at_a_terminal, confirm
from pointsman.config.overlay import moment

MIN_DIFFERENCE_TEXTS = 6
"""By the sign test, a smaller difference can be chance, even if no text is decided worse."""
MAX_MOVED = 0.1
"""Share of the stored texts that go from one adapter to another, from which on the command asks twice."""


def run(options: argparse.Namespace) -> int:
    """Ask the running service; raises AdminError and ConfigError."""
    if options.artifact is not None and options.action not in ("promote", "discard"):
        options.parser.error("an ARTIFACT is for promote and discard alone")
    if options.artifact is None and options.action == "discard":
        options.parser.error("discard needs the name of an ARTIFACT")
    return show(options, lambda port: _answer(port, options), render)


def _answer(port: AdminPort, options: argparse.Namespace) -> dict[str, Any]:
    if options.action == "list":
        listing = read(port, "GET", "/classifiers")
    else:
        name = options.artifact
        if name is not None and os.sep in name and options.action == "promote":
            name = str(Path(name).absolute())
        if options.action == "promote" and not options.yes and at_a_terminal():
            _confirm(read(port, "GET", "/classifiers"), name)
        listing = ask(port, "POST", f"/classifier/{options.action}", {} if name is None else {"artifact": name})
    warn_of_trouble(listing)
    return listing


def _confirm(listing: dict[str, Any], name: str | None) -> None:
    """Ask whether to promote an artifact, by default the newest; the service refuses if there is none."""
    artifacts = listing["artifacts"]
    found = next((one for one in artifacts if name in (None, one["name"], one["path"])), None)
    if name is not None or found is not None:
        known = [f"in use: {listing['in_use']}", worth(found or {"labelled": None})]
        moves = moved(found or {})
        confirm(f"Let {name if found is None else found['name']} read all requests?", [*known, *moves])
        if moves and found is not None and _moves_much(found):
            confirm("More than a tenth would get another adapter. Is that meant?", moves)


def moved(one: dict[str, Any]) -> list[str]:
    """Return what becomes of stored texts by an artifact that was taught; nothing where none were stored."""
    found = (one.get("teaching") or {}).get("moved")
    if not found:
        return []
    moves = f"{found['moved']:,} would get another model, {found['between']:,} of them another adapter"
    return [f"of {found['texts']:,} stored texts {moves} in place of an adapter"]


def _moves_much(one: dict[str, Any]) -> bool:
    found = one["teaching"]["moved"]
    return bool(found["between"] > MAX_MOVED * found["texts"])


def worth(one: dict[str, Any]) -> str:
    """Return an artifact's results on the labels or rows; each was decided by a fit that did not see it."""
    taught = one.get("teaching")
    if taught and not one["labelled"]:
        return (
            f"of {taught['rows']:,} taught prompts {taught['right']:,} get their category, of {taught['nobody']:,} of "
            f"none {taught['kept']:,} get none"
        )
    if not one["labelled"]:
        return "nothing is known of it by labels"
    before, after, labelled = one["right_before"], one["right_after"], one["labelled"]
    shares = f"of {labelled:,} labeled texts {before:,} right before and {after:,} after"
    if after == before:
        return f"{shares}: the labels say nothing for it"
    if after < before:
        return f"{shares}: {before - after:,} fewer"
    return (
        f"{shares}: {after - before:,} more{', which may be chance' if after - before < MIN_DIFFERENCE_TEXTS else ''}"
    )


def render(listing: dict[str, Any]) -> Iterator[str]:
    """Yield the classifiers as lines for a terminal."""
    yield f"in use: {listing['in_use']}"
    if listing["promoted"]:
        when = moment(listing["promoted"]["at"])
        yield f"promoted at {when}, in place of {listing['config']}, which the config names"
    for one in listing["artifacts"]:
        figures = ""
        if one["labelled"]:
            figures = f", right {one['right_before']} of {one['labelled']} before, {one['right_after']} after"
        yield f"  {one['name']}  {one['source']}{figures}"
