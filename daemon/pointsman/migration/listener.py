"""Rewrite `listeners` as `pointsman.server.listen`, and the longest of their timeouts as the response timeout."""

from __future__ import annotations

import re

from pointsman.config.yaml_tree import Node, Scalar, Table
from pointsman.migration.nodes import changed, entries, find, items, scalar, table, tables, text
from pointsman.migration.note import Notes

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_DURATION = re.compile(r"(\d{1,7})(ms|s|m|h)")
_EVERY = "0.0.0.0"  # noqa: S104 - semantic-router's default address
_GRPC = "grpc"


def rewrite(root: Table, notes: Notes) -> Table:
    """Return the root with the listeners under `pointsman`."""
    at = root.entries.get("listeners", root)
    made = [one for listener in tables(root, "listeners") if (one := _address(listener, notes)) is not None]
    made = list({one.text: one for one in made}.values())
    if not made:
        notes.changed(
            at, "clients connected to Envoy; now they connect to Pointsman on its default address 127.0.0.1:8080"
        )
    timeouts = [found for listener in tables(root, "listeners") if (found := _timeout(listener, notes)) is not None]
    longest = max(timeouts, key=lambda one: int(one.text), default=None)
    relay = table(at, {"total_timeout_ms": longest}) if longest else None
    server = table(at, {"listen": items(at, made)}) if made else None
    return set_options(changed(root, {"listeners": None}), {"server": server, "relay": relay})


def set_options(root: Table, sections: dict[str, Table | None]) -> Table:
    """Return the root with these sections merged into `pointsman`."""
    own = {**entries(root, "pointsman"), **{key: node for key, node in sections.items() if node is not None}}
    return changed(root, {"pointsman": table(root, own)}) if own else root


def _address(listener: Table, notes: Notes) -> Scalar | None:
    """Return `host:port` of a listener; None if it is not HTTP or has no port."""
    name, host, port = text(listener, "name") or "", text(listener, "address") or _EVERY, text(listener, "port")
    if port is None or name.startswith(_GRPC):
        notes.dropped(
            listener, "Envoy's connection to the router, which Pointsman does not need" if port else "it has no port"
        )
        return None
    for key, node in listener.entries.items():
        if key not in ("name", "address", "port", "timeout"):
            notes.dropped(node, "Pointsman has no equivalent")
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return scalar(listener, f"{shown}:{port}")


def _timeout(listener: Table, notes: Notes) -> Scalar | None:
    """Return `timeout` in milliseconds."""
    node: Node | None = find(listener, "timeout")
    if node is None:
        return None
    found = _DURATION.fullmatch(text(node) or "")
    if found is None:
        notes.dropped(node, "expected a duration such as 300s")
        return None
    return scalar(node, int(found[1]) * _UNITS[found[2]])
