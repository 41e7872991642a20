"""Compare configured and served adapters by endpoint, for `GET /adapters`, `pointsman adapters` and the metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pointsman.adapters.host import Host
from pointsman.adapters.loader import configured
from pointsman.adapters.poller import Poller
from pointsman.config.model import Config, Endpoint


def inventory(config: Config, poller: Poller, now: float) -> list[dict[str, Any]]:
    """Return every endpoint with its adapters; `now` is the event loop's time."""
    return [_endpoint(config, endpoint, poller.hosts[endpoint.name], now) for endpoint in config.vllm_endpoints]


def counts(config: Config, poller: Poller) -> dict[str, tuple[int, int]]:
    """Return, by endpoint, the number of configured adapters and the number of these that are served."""
    names = {endpoint.name: [lora.name for _, lora in configured(config, endpoint)] for endpoint in poller.endpoints}
    return {
        endpoint: (len(wanted), sum(_state(poller.hosts[endpoint], name) == "served" for name in wanted))
        for endpoint, wanted in names.items()
    }


def _endpoint(config: Config, endpoint: Endpoint, host: Host, now: float) -> dict[str, Any]:
    return {
        "endpoint": endpoint.name,
        "address": endpoint.base_url if endpoint.socket_path is None else endpoint.address,
        "base_models": [card.id for card in host.cards or () if card.parent is None],
        "error": host.trouble,
        "adapters": list(_adapters(config, endpoint, host, now)),
    }


def _adapters(config: Config, endpoint: Endpoint, host: Host, now: float) -> Iterator[dict[str, Any]]:
    wanted = {lora.name: (base, lora.path) for base, lora in configured(config, endpoint)}
    adapters = [card for card in host.cards or () if card.parent is not None]
    others = {card.id: (card.parent, None) for card in adapters if card.id not in wanted}
    routable = config.routable
    for name, (base, path) in (wanted | others).items():
        failure = host.failures.get(name)
        yield {
            "name": name,
            "base_model": base,
            "configured": name in wanted,
            "routed": name in routable,
            "path": path,
            "state": _state(host, name),
            "error": failure and failure.message,
            "failures": failure.times if failure else 0,
            "retry_in_s": max(0, round(failure.again - now)) if failure and config.pointsman.adapters.load else None,
        }


def _state(host: Host, name: str) -> str:
    if host.cards is None:
        return "unknown"
    if host.loading == name:
        return "loading"
    if host.lists(name) and name not in host.withheld | host.refused:
        return "served"
    if name in host.failures:
        return "failed"
    return "unloaded" if name in host.unloaded else "missing"


def render(found: list[dict[str, Any]]) -> str:
    """Return the inventory as a table for a terminal."""
    rows = [("ENDPOINT", "ADAPTER", "BASE MODEL", "STATE")]
    notes = []
    if names := unrouted(found):
        notes.append(f"unrouted: {len(names):,}; `pointsman init --add` writes a category for each, or says why not")
    for host in found:
        rows += [(host["endpoint"], one["name"], one["base_model"], _state_text(one)) for one in host["adapters"]]
        if host["error"]:
            notes.append(f"{host['endpoint']}: {host['error']}")
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join([*map(str.ljust, row, widths), row[-1]]) for row in rows]
    return "\n".join([*lines, *notes])


def unrouted(found: Iterable[dict[str, Any]]) -> list[str]:
    """Return the adapters of an inventory that no prompt reaches unless a client asks for one by its name."""
    return list(dict.fromkeys(one["name"] for host in found for one in host["adapters"] if not _routed(one)))


def _routed(adapter: dict[str, Any]) -> bool:
    return bool(adapter.get("routed", True))  # a service of a former release does not say


def _state_text(adapter: dict[str, Any]) -> str:
    text = str(adapter["state"])
    if not adapter["configured"]:
        text += ", not in the config"
    if not _routed(adapter):
        text += ", unrouted"
    if adapter["error"]:
        again = "" if adapter["retry_in_s"] is None else f", next try in {adapter['retry_in_s']} s"
        text += f": {adapter['error']} (failures: {adapter['failures']}{again})"
    return text


def render_change(answer: dict[str, Any], action: str) -> str:
    """Return the outcome of a load or unload, as text for a terminal."""
    return "\n".join(f"{endpoint}: {error or f'{action}ed'}" for endpoint, error in answer["endpoints"].items())
