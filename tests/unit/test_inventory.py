"""The adapters of each endpoint: which of them no prompt reaches by itself."""

from __future__ import annotations

from typing import Any

from pointsman.adapters.inventory import render, unrouted
from pointsman.config.model import Canary, CategoryRollout, Lora, Model, RoutingOptions, Rule
from support.toy_config import BASE, category, config, entry

NAMES = ("law", "law-v2", "ruled", "barred", "plain")


def test_an_adapter_that_nothing_names_which_routes_is_unrouted() -> None:
    """Categories name one, and so do canaries, rules that choose it, and `default_model`."""
    routing = RoutingOptions(
        categories={"legal": CategoryRollout(canary=Canary(adapter="law-v2", percent=5))},
        rules=(Rule(name="a", adapter="ruled"), Rule(name="b", never="barred")),
    )
    base = Model(loras=tuple(Lora(name=name) for name in NAMES))
    found = config(category("legal", entry("law"), entry("law-v1", score=0.5)), routing=routing, base=base)

    assert found.routable == {BASE, "law", "law-v1", "law-v2", "ruled"}


def adapter(name: str, **fields: Any) -> dict[str, Any]:
    found = {"name": name, "base_model": BASE, "configured": True, "state": "served", "routed": True}
    return found | {"error": None, "failures": 0, "retry_in_s": None} | fields


def test_the_table_says_what_is_unrouted_and_what_to_do() -> None:
    """Once, where several endpoints have it. A service of a former release does not say what is routed."""
    adapters = [adapter("law"), adapter("sql", routed=False), adapter("new", configured=False, routed=False)]
    hosts = [{"endpoint": name, "error": None, "adapters": adapters} for name in ("a", "b")]

    assert unrouted(hosts) == ["sql", "new"]
    assert [line.split("llama2-7b   ")[-1] for line in render(hosts).splitlines()[1:]] == [
        *("served", "served, unrouted", "served, not in the config, unrouted") * 2,
        "unrouted: 2; `pointsman init --add` writes a category for each, or says why not",
    ]
    former = [{name: value for name, value in one.items() if name != "routed"} for one in adapters]
    assert "unrouted" not in render([{"endpoint": "a", "error": None, "adapters": former}])
