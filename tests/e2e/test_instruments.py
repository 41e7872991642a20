"""The alert rules and the dashboard, by promtool and a real Prometheus that scrapes a daemon."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from support.prometheus import ALERTS, prove, query, run_prometheus
from support.service import CHAT, MEDICAL, TECHNICAL, Service, chat

on_session_loop = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "config" / "grafana" / "pointsman.json"
RULES: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]

Series = dict[str, str]


def gauge(name: str, trouble: float, fine: float, labels: str = "") -> tuple[Series, Series]:
    """A gauge in trouble and one that is fine, for ten hours."""
    return {f"{name}{{{labels}}}": f"{trouble}x600"}, {f"{name}{{{labels}}}": f"{fine}x600"}


def counter(name: str, labels: str = "") -> tuple[Series, Series]:
    return {f"{name}{{{labels}}}": "0+1x600"}, {f"{name}{{{labels}}}": "7x600"}


def decisions(reason: str) -> tuple[Series, Series]:
    """Automatic requests of which two thirds have this reason, or one of fifty; those with a model do not count."""
    bad, good, named = (
        f'pointsman_decisions_total{{reason="{one}"}}' for one in (reason, "classified", "explicit_model")
    )
    others = {good: "0+50x600", named: "0+500x600"}
    return {bad: "0+100x600"} | others, {bad: "0+1x600"} | others


def drift() -> tuple[Series, Series]:
    """A confidence of 0.6 or of 0.85 where 0.9 is expected."""
    total, count, expected = (f"pointsman_confidence_{name}{{}}" for name in ("sum", "count", "expected"))
    others = {count: "0+10x600", expected: "0.9x600"}
    return {total: "0+6x600"} | others, {total: "0+8.5x600"} | others


def lag() -> tuple[Series, Series]:
    """All delays are above 0.01 s, or below."""
    low, middle, high = (f'pointsman_loop_lag_seconds_bucket{{le="{bound}"}}' for bound in ("0.01", "0.1", "+Inf"))
    all_above = {low: "0x600", middle: "0+60x600", high: "0+60x600"}
    return all_above, all_above | {low: "0+60x600"}


def adapters() -> tuple[Series, Series]:
    served, wanted = (f"pointsman_adapters_{name}{{}}" for name in ("served", "configured"))
    return {served: "2x600", wanted: "3x600"}, {served: "3x600", wanted: "3x600"}


def errors() -> tuple[Series, Series]:
    """A fifth of all requests fails, or one of a hundred."""
    bad, good = (f'pointsman_requests_total{{status="{status}"}}' for status in (500, 200))
    return {bad: "0+20x600", good: "0+80x600"}, {bad: "0+1x600", good: "0+99x600"}


def first_byte() -> tuple[Series, Series]:
    """Below half a second for nine hours but seven minutes, then above; or above at all times."""
    fast, slow, every = (
        f'pointsman_model_first_byte_seconds_bucket{{le="{bound}"}}' for bound in ("0.5", "10.0", "+Inf")
    )
    total = dict.fromkeys((slow, every, "pointsman_model_first_byte_seconds_count{}"), "0+60x600")
    return total | {fast: "0+60x533 31980x66"}, total | {fast: "0x600"}


def off() -> tuple[Series, Series]:
    """Off, and in the other case all of it routed, both by a command and with an end."""
    off, on = (f'pointsman_routing_mode_until_timestamp_seconds{{mode="{mode}"}}' for mode in ("off", "on"))
    return {off: "1764590700x600"}, {on: "1764590700x600"}


CASES = {
    "PointsmanDown": gauge("up", 0, 1, 'job="pointsman"'),
    "PointsmanNotReady": gauge("pointsman_ready", 0, 1),
    "PointsmanEndpointDown": gauge("pointsman_endpoint_up", 0, 1),
    "PointsmanKeyRefused": gauge("pointsman_endpoint_key_refused", 1, 0),
    "PointsmanEngineDied": counter("pointsman_engine_deaths_total"),
    "PointsmanRefusing": counter("pointsman_refused_total", 'reason="memory"'),
    "PointsmanErrors": errors(),
    "PointsmanModelFailing": gauge("pointsman_model_failing", 1, 0),
    "PointsmanEndpointFailing": gauge("pointsman_endpoint_models_failing", 1, 0),
    "PointsmanSlow": first_byte(),
    "PointsmanModelSlow": gauge("pointsman_model_slow", 1, 0),
    "PointsmanEndpointSlow": gauge("pointsman_endpoint_models_slow", 1, 0),
    "PointsmanAdapterMissing": adapters(),
    "PointsmanClassifierFails": decisions("deadline"),
    "PointsmanUnsure": decisions("low_confidence"),
    "PointsmanConfidenceDrift": drift(),
    "PointsmanCanaryRolledBack": gauge("pointsman_canary_rolled_back", 1, 0),
    "PointsmanRoutingOff": off(),
    "PointsmanShadowStopped": gauge("pointsman_shadow_up", 0, 1),
    "PointsmanCertificateExpires": gauge("pointsman_certificate_expires_timestamp_seconds", 1e5, 1e6),
    "PointsmanLoopLag": lag(),
    "PointsmanLogDrops": counter("pointsman_log_lines_dropped_total"),
    "PointsmanTaskFails": counter("pointsman_task_failures_total"),
    "PointsmanReloadFailed": gauge("pointsman_config_reload_failed", 1, 0),
}


def test_each_alert_has_a_case_and_a_line_that_says_what_to_do() -> None:
    night = (ROOT / "docs" / "operations.md").read_text().partition("## At night")[2].partition("\n## ")[0]

    assert list(CASES) == [rule["alert"] for rule in RULES]
    assert re.findall(r"^\| `(\w+)`", night, re.MULTILINE) == list(CASES)


def of(instance: str, series: Series) -> list[dict[str, str]]:
    return [
        {"series": name.replace("{", f'{{instance="{instance}",'), "values": values} for name, values in series.items()
    ]


def test_each_alert_fires_in_its_trouble_and_else_not(tmp_path: Path) -> None:
    """Ten hours of one instance in each trouble, beside one that is fine in the same way."""
    series, firing = [], []
    for rule in RULES:
        name, labels = rule["alert"], rule["labels"]
        trouble, fine = CASES[name]
        series += of(f"{name} in trouble", trouble) + of(f"{name} fine", fine)
        found_series = f'{{alertname="{name}", instance="{name} in trouble", severity="{labels["severity"]}"}}'
        firing.append({"labels": found_series, "value": 1})
    fires = "count by (alertname, instance, severity) (ALERTS{alertstate='firing'})"
    expected = {"expr": fires, "eval_time": "9h", "exp_samples": firing}
    prove({"interval": "1m", "input_series": series, "promql_expr_test": [expected]}, tmp_path)


def test_the_alert_of_a_mode_says_until_when_it_holds(tmp_path: Path) -> None:
    """Of one without an end it says none."""
    name, metric = "PointsmanRoutingOff", "pointsman_routing_mode_until_timestamp_seconds"
    ends = {"off": ("1764590700 1764590700", " until 2025-12-01 12:05:00 +0000 UTC"), "shadow": ("Inf Inf", "")}
    series = [{"series": f'{metric}{{instance="a", mode="{mode}"}}', "values": end} for mode, (end, _) in ends.items()]
    expected = [
        {
            "exp_labels": {"severity": "ticket", "instance": "a", "mode": mode},
            "exp_annotations": {"summary": f"a: nothing is routed, by `pointsman mode {mode}`{words}"},
        }
        for mode, (_, words) in ends.items()
    ]
    alert = {"eval_time": "1m", "alertname": name, "exp_alerts": expected}
    prove({"interval": "1m", "input_series": series, "alert_rule_test": [alert]}, tmp_path)


@pytest.mark.parametrize(
    ("name", "state", "severity", "words"),
    [
        ("PointsmanModelFailing", "failing", "page", "{} fails far more often than others"),
        ("PointsmanModelSlow", "slow", "ticket", "the first byte of {} takes far longer than of others"),
    ],
)
def test_the_alert_of_a_model_names_it(name: str, state: str, severity: str, words: str, tmp_path: Path) -> None:
    """One that the config does not name has no name in the metrics."""
    models = {"legal-lora": "legal-lora", "other": "a model that the config does not name"}
    series = [{"series": f'pointsman_model_{state}{{instance="a", model="{one}"}}', "values": "1x5"} for one in models]
    expected = [
        {
            "exp_labels": {"severity": severity, "instance": "a", "model": model},
            "exp_annotations": {"summary": f"a: {words.format(found_series)}"},
        }
        for model, found_series in models.items()
    ]
    alert = {"eval_time": "3m", "alertname": name, "exp_alerts": expected}
    prove({"interval": "1m", "input_series": series, "alert_rule_test": [alert]}, tmp_path)


def test_the_panel_of_what_is_the_matter_shows_only_that(tmp_path: Path) -> None:
    """With two hundred adapters, nobody finds the one that is ill among the others."""
    series, tests = [], []
    for expression in (one for name, one in expressions().items() if name.startswith("Models and endpoints that fail")):
        label, metric = re.findall(r"by \((\w+)\) \((\w+)", expression)[0]
        series += [
            {"series": f'{metric}{{{label}="{name}"}}', "values": f"{ill}x5"} for name, ill in (("x", 1), ("y", 0))
        ]
        shown = [{"labels": f'{{{label}="x"}}', "value": 1}]
        tests.append({"expr": expression, "eval_time": "1m", "exp_samples": shown})
    assert len(tests) == 4
    prove({"interval": "1m", "input_series": series, "promql_expr_test": tests}, tmp_path)


def test_what_concerns_the_whole_service_is_an_alert_within_six_minutes(tmp_path: Path) -> None:
    """Of its twentieth bad request; those that crawl are few where clients wait for an answer before they ask again."""
    fast, every = "0+400x480 192000x40", "0+400x480 192000+10x40"
    first_bytes = {"0.5": fast, "2.5": fast, "10.0": every, "+Inf": every}
    buckets = {
        f'pointsman_model_first_byte_seconds_bucket{{le="{bound}"}}': found_series
        for bound, found_series in first_bytes.items()
    }
    series = buckets | {
        "pointsman_model_first_byte_seconds_count{}": every,
        'pointsman_requests_total{status="200"}': "0+3x480 1440x40",
        'pointsman_requests_total{status="500"}': "_x481 3+3x40",
    }
    firing = [
        {"labels": f'{{alertname="{name}", severity="{severity}"}}', "value": 1}
        for name, severity in (("PointsmanErrors", "page"), ("PointsmanSlow", "ticket"))
    ]
    for minutes, expected in ((120, []), (126, firing)):
        found_series = {
            "expr": "count by (alertname, severity) (ALERTS{alertstate='firing'})",
            "eval_time": f"{minutes}m",
            "exp_samples": expected,
        }
        inputs = [{"series": name, "values": values} for name, values in series.items()]
        prove({"interval": "15s", "input_series": inputs, "promql_expr_test": [found_series]}, tmp_path)


@pytest_asyncio.fixture(loop_scope="session")
async def prometheus(service: Service, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a Prometheus that has scraped the daemon after some requests."""
    for text in (TECHNICAL, MEDICAL, TECHNICAL):
        assert (await service.post(CHAT, chat(text))).status == 200
    async with run_prometheus(service.daemon, tmp_path) as address:
        yield address


def expressions() -> dict[str, str]:
    """The dashboard's queries by panel, with Grafana's variables as it fills them in."""
    dashboard = json.loads(DASHBOARD.read_text())
    filled = {"$__rate_interval": "30s", "$__range": "5m", "$instance": ".*"}
    found = {}
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expression = target["expr"]
            for variable, value in filled.items():
                expression = expression.replace(variable, value)
            found[f"{panel['title']}: {target['legendFormat']}"] = expression
    return found


# What only happens in trouble, by a command, or with a stream.
EMPTY = re.compile(
    r"deadline|upstream_errors|engine_deaths|refused|retries|clients_left|mode_until|chunk_gap|tokens|status=~| > 0$"
)


@on_session_loop
async def test_each_query_of_the_dashboard_has_an_answer(prometheus: str) -> None:
    answers = {name: query(prometheus, expression) for name, expression in expressions().items()}

    assert [name for name, found in answers.items() if not found and not EMPTY.search(expressions()[name])] == []


@on_session_loop
async def test_the_rules_and_the_dashboard_name_metrics_that_are_there(service: Service, prometheus: str) -> None:
    used = " ".join([*expressions().values(), *(rule["expr"] for rule in RULES)])
    families = set(re.findall(r"# TYPE (\S+)", (await service.get("/metrics", admin=True)).body.decode()))
    known = families | {f"{name}_{part}" for name in families for part in ("bucket", "sum", "count")}

    assert set(re.findall(r"\b(?:pointsman|process)_\w+", used)) - known == set()
    assert query(prometheus, 'ALERTS{alertname!="PointsmanLoopLag"}') == []  # which a busy host may well have


def test_the_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        x, y, w, h = (panel["gridPos"][key] for key in "xywh")
        cells = {(column, row) for column in range(x, x + w) for row in range(y, y + h)}
        assert x + w <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
