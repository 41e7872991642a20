"""Implement `pointsman status`: show the state of the running service, on one screen."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

from pointsman.adapters.inventory import unrouted
from pointsman.cli import mode
from pointsman.cli.admin_client import AdminPort, read, understood

COLUMNS, LINES = 80, 23  # the prompt takes the last line
MAX_ENDPOINTS = 5
MIN_DECISIONS = 3
MAX_MODELS = 6
MAX_UNWELL_MODELS = 3


def run(options: argparse.Namespace) -> int:
    """Ask the running service; raises AdminError and ConfigError."""
    port = AdminPort.of_service(options.config)
    answer = read(port, "GET", "/status")
    with understood(port.address):
        text = json.dumps(answer, indent=2) if options.json else render(answer, port.address)
    print(text)
    return 0


def render(status: dict[str, Any], address: str) -> str:
    """Return the status as text for a terminal; many endpoints leave few lines for decisions."""
    lines = [
        *_service(status, address),
        *_unwell(status.get("unwell", [])),
        "",
        *_endpoints(status["endpoints"]),
        "",
        *_classifier(status["classifier"], status["traffic"]),
        *_shadow(status.get("shadow")),
        "",
        *_rollout(status["routing"]),
        *_traffic(status["traffic"]),
    ]
    models = status["traffic"].get("models", [])
    decisions = 0 if status.get("unwell") else MIN_DECISIONS  # problems replace them
    lines += _models(models, min(MAX_MODELS, LINES - len(lines) - decisions - 4))
    lines += _decisions(status["traffic"]["decisions"], max(decisions, LINES - len(lines) - 2))
    return "\n".join(_fitted(line) for line in lines)


def _service(status: dict[str, Any], address: str) -> Iterator[str]:
    config = status["config"]
    loaded = time.strftime("%Y-%m-%d %H:%M", time.localtime(config["loaded"]))
    yield f"pointsman {status['version']} at {address}, up {_duration(status['uptime_s'])}"
    waiting = f", {status['held']:,} waiting for an endpoint" if status["held"] else ""
    yield f"{status['trouble'] or 'ready'}; {status['in_flight']:,} in flight{waiting}"
    failed = "; the last reload failed, see the log" if config["reload_failed"] else ""
    yield f"config {config['generation']}, read {loaded}{failed}"
    if config.get("rolled_back"):
        yield "  rolled back by a former release: `pointsman check` says how to end that"


def _unwell(unwell: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the models and endpoints that fail or are slow, and why."""
    for one in unwell[:MAX_UNWELL_MODELS]:
        yield f"{one['state'].upper()}  {one['name']}, for {_duration(one['for_s'])}: {one['why']}"
    if len(unwell) > MAX_UNWELL_MODELS:
        yield f"and {len(unwell) - MAX_UNWELL_MODELS} more that fail or are slow, see --json"


def _endpoints(endpoints: list[dict[str, Any]]) -> Iterator[str]:
    yield f"{'ENDPOINT':<24}  {'STATE':<11}  {'BREAKER':<7}  {'IN FLIGHT':>9}  ADAPTERS"
    for one in sorted(endpoints, key=lambda one: bool(one["up"]))[:MAX_ENDPOINTS]:
        wanted = [adapter for adapter in one["adapters"] if adapter["configured"]]
        served = sum(adapter["state"] == "served" for adapter in wanted)
        yield (
            f"{one['endpoint'][:24]:<24}  {_state(one):<11}  {one['breaker']:<7}  {one['in_flight']:>9,}  "
            f"{served} of {len(wanted)}"
        )
        if one["error"] or wanted:
            yield "  " + (one["error"] or ", ".join(_adapters(wanted)))
    if len(endpoints) > MAX_ENDPOINTS:
        yield f"and {len(endpoints) - MAX_ENDPOINTS} more, see --json"
    if names := unrouted(endpoints):
        yield f"UNROUTED  {len(names):,}, see `pointsman init --add`: {', '.join(names)}"


def _state(endpoint: dict[str, Any]) -> str:
    if not endpoint["reachable"]:
        return "down"
    return "up" if endpoint["up"] else "failing" if endpoint["key_accepted"] else "key refused"


def _adapters(adapters: list[dict[str, Any]]) -> list[str]:
    """Return the names, unserved ones first, with their state."""
    ordered = sorted(adapters, key=lambda one: one["state"] == "served")
    return [one["name"] if one["state"] == "served" else f"{one['name']} ({one['state']})" for one in ordered]


def _classifier(classifier: dict[str, Any], traffic: dict[str, Any]) -> Iterator[str]:
    cores = f"{classifier['workers']} core{'' if classifier['workers'] == 1 else 's'}"
    stopped = "" if classifier["healthy"] else "; stopped"
    yield (
        f"CLASSIFIER  {classifier['artifact']}, {classifier['precision']} on {classifier['provider']}, {cores}; "
        f"{classifier['queued']:,} waiting{stopped}"
    )
    cache, times = classifier["cache"], traffic["run_ms"]
    if texts := sum(cache.values()):
        hits = f"{100 * cache['hits'] / texts:.0f} % of {texts:,} texts from the cache"
        spent = f"; a run within {times['p50']:,g} ms (p50), {times['p95']:,g} ms (p95)" if times["p50"] else ""
        yield f"  {hits}{spent}"


def _shadow(shadow: dict[str, Any] | None) -> Iterator[str]:
    """Yield the comparison with the classifier in shadow, and its largest differences."""
    if shadow is None:
        return
    line = f"SHADOW  {shadow['artifact']}, {shadow['state']}"
    if shadow["compared"]:
        agreed = shadow["agreed"]
        low, high = 100 * agreed["low"], 100 * agreed["high"]
        line += f"; agrees on {100 * agreed['share']:.1f} % ({low:.1f} to {high:.1f}) of {shadow['compared']:,} texts"
    yield line
    if shadow["error"]:
        yield f"  {shadow['error']}"
    if shadow["compared"]:
        pairs = [f"{one['category'] or '-'} > {one['shadow'] or '-'} ({one['texts']:,})" for one in shadow["pairs"][:2]]
        differs = f"; {', '.join(pairs)}" if pairs else ""
        yield f"  {shadow['rerouted']['texts']:,} would go to other models{differs}"
    if lost := ", ".join(f"{shadow[what]:,} {what}" for what in ("shed", "failed") if shadow[what]):
        yield f"  {lost}"


def _rollout(routing: dict[str, Any]) -> list[str]:
    """Return which traffic is routed; nothing if the config routes all of it."""
    plain = routing["mode"] == "on" and not routing["overridden"] and not routing["categories"]
    return [] if plain else [*mode.render(routing), ""]


def _traffic(traffic: dict[str, Any]) -> Iterator[str]:
    minutes = max(1.0, traffic["seconds"] / 60)
    errors = ", ".join(f"{one['status']} ({one['requests']:,})" for one in traffic["errors"]) or "none"
    requests = traffic["requests"]
    yield f"LAST {minutes:.0f} MIN  {requests:,} requests, {requests / minutes:,.1f} a minute"
    yield f"  errors: {errors}"


def _models(models: list[dict[str, Any]], max_models: int) -> Iterator[str]:
    """Yield the figures of each model for clients, if there is room for one."""
    if not models or max_models < 1:
        return
    yield f"{'MODEL':<32}  {'REQUESTS':>9}  {'5XX':>6}  {'FIRST BYTE':>11}  {'WHOLE':>11}"
    for one in models[:max_models]:
        share = f"{100 * one['failed'] / one['requests']:.1f} %"
        first, whole = (f"{one[key]['p50']:,.0f} ms" if one[key] else "-" for key in ("first_byte_ms", "whole_ms"))
        yield f"{one['model'][:32]:<32}  {one['requests']:>9,}  {share:>6}  {first:>11}  {whole:>11}"
    if len(models) > max_models:
        yield f"and {len(models) - max_models} more models, see --json"


def _decisions(decisions: list[dict[str, Any]], max_decisions: int) -> Iterator[str]:
    if decisions:
        yield f"{'CATEGORY':<32}  {'REASON':<24}  {'REQUESTS':>9}"
    for one in decisions[:max_decisions]:
        yield f"{(one['category'] or '-')[:32]:<32}  {one['reason']:<24}  {one['requests']:>9,}"
    if rest := sum(one["requests"] for one in decisions[max_decisions:]):
        yield f"and {len(decisions) - max_decisions} more: {rest:,} requests"


def _duration(seconds: int) -> str:
    for size, unit, below, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // below} {small}"
    return f"{seconds} s"


def _fitted(line: str) -> str:
    line = "".join(char if char.isprintable() else "?" for char in line)
    return line if len(line) <= COLUMNS else line[: COLUMNS - 1] + "…"
