"""What `pointsman status` prints."""

from __future__ import annotations

from typing import Any

import pytest

from pointsman.cli.status import render


def adapter(name: str, state: str = "served", *, configured: bool = True, **fields: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "configured": configured, **fields}


def endpoint(name: str = "vllm-primary", *adapters: dict[str, Any], **fields: Any) -> dict[str, Any]:
    state = {"up": True, "reachable": True, "key_accepted": True, "breaker": "closed", "in_flight": 0, "error": None}
    return {"endpoint": name, "adapters": list(adapters), **state, **fields}


def status(*endpoints: dict[str, Any], decisions: int = 0, **fields: Any) -> dict[str, Any]:
    rows = [{"category": f"category {n}", "reason": "classified", "requests": 1000 - n} for n in range(decisions)]
    traffic = {
        "seconds": 900,
        "requests": 1203,
        "decisions": rows,
        "errors": [{"status": 502, "requests": 3}],
        "run_ms": {"p50": 2.0, "p95": 5.0},
    }
    classifier = {
        "artifact": "builtin",
        "precision": "int8",
        "provider": "CPUExecutionProvider",
        "workers": 2,
        "queued": 0,
        "healthy": True,
        "cache": {"hits": 40, "misses": 60, "coalesced": 0},
    }
    made: dict[str, Any] = {
        "version": "0.2.0",
        "trouble": None,
        "uptime_s": 90_000,
        "config": {"generation": 2, "loaded": 1_795_576_210, "reload_failed": None},
        "in_flight": 3,
        "held": 0,
        "routing": {"mode": "on", "percent": None, "configured": "on", "overridden": False, "categories": []},
        "endpoints": list(endpoints) or [endpoint()],
        "classifier": classifier,
        "traffic": traffic,
    }
    return made | fields


def lines(found: dict[str, Any]) -> list[str]:
    return render(found, "127.0.0.1:9190").splitlines()


def test_one_screen_tells_endpoints_adapters_classifier_and_traffic() -> None:
    one = endpoint("vllm-primary", adapter("technical-lora"), adapter("legal-lora", "missing"), in_flight=3)

    shown = lines(status(one, decisions=2))

    assert shown[:2] == ["pointsman 0.2.0 at 127.0.0.1:9190, up 1 d 1 h", "ready; 3 in flight"]
    assert shown[2].startswith("config 2, read 20")
    assert shown[4:] == [
        "ENDPOINT                  STATE        BREAKER  IN FLIGHT  ADAPTERS",
        "vllm-primary              up           closed           3  1 of 2",
        "  legal-lora (missing), technical-lora",
        "",
        "CLASSIFIER  builtin, int8 on CPUExecutionProvider, 2 cores; 0 waiting",
        "  40 % of 100 texts from the cache; a run within 2 ms (p50), 5 ms (p95)",
        "",
        "LAST 15 MIN  1,203 requests, 80.2 a minute",
        "  errors: 502 (3)",
        "CATEGORY                          REASON                     REQUESTS",
        "category 0                        classified                    1,000",
        "category 1                        classified                      999",
    ]


def model(name: str, **fields: Any) -> dict[str, Any]:
    times = {"p50": 1203.4, "p95": 4000.0}
    return {"model": name, "requests": 400, "failed": 1, "first_byte_ms": times, "whole_ms": times} | fields


def unwell(name: str = "legal-lora", **fields: Any) -> dict[str, Any]:
    entry = {"kind": "model", "name": name, "state": "failing", "why": "all of it failed", "for_s": 190, "models": []}
    return entry | fields


def test_what_clients_get_of_each_model_is_told() -> None:
    found = status(decisions=1)
    found["traffic"]["models"] = [model("base"), model("legal-lora", failed=400, first_byte_ms=None)]
    shown = lines(found)
    at = shown.index("  errors: 502 (3)") + 1
    assert shown[at : at + 3] == [
        "MODEL                              REQUESTS     5XX   FIRST BYTE        WHOLE",
        "base                                    400   0.2 %     1,203 ms     1,203 ms",
        "legal-lora                              400  100.0 %            -     1,203 ms",
    ]


def test_what_fails_or_is_slow_is_told_first_and_of_many_a_few() -> None:
    assert lines(status(unwell=[unwell()]))[3] == "FAILING  legal-lora, for 3 min 10 s: all of it failed"
    shown = lines(status(unwell=[unwell(f"m{number}", state="slow") for number in range(5)]))
    assert [line[:8] for line in shown[3:6]] == ["SLOW  m0", "SLOW  m1", "SLOW  m2"]
    assert shown[6] == "and 2 more that fail or are slow, see --json"


def test_what_is_unrouted_is_told_with_the_command() -> None:
    """A service of a former release does not know, and names nothing."""
    adapters = [adapter("law", routed=True), adapter("sql", routed=False), adapter("x", configured=False, routed=False)]
    shown = lines(status(endpoint("a", *adapters), endpoint("b", *adapters)))
    assert shown[9] == "UNROUTED  2, see `pointsman init --add`: sql, x"
    assert not any(line.startswith("UNROUTED") for line in lines(status(endpoint("a", adapter("law")))))


def test_a_rollback_is_told() -> None:
    found = status(endpoint())
    found["config"]["rolled_back"] = {"sha256": "a" * 64, "at": 0, "over": "b" * 64}
    assert "  rolled back by a former release: `pointsman check` says how to end that" in lines(found)


def test_what_is_not_routed_is_told() -> None:
    mode = {"mode": "shadow", "percent": None, "configured": "on", "overridden": True}
    shown = lines(status(routing=mode | {"categories": []}))
    assert shown[shown.index("LAST 15 MIN  1,203 requests, 80.2 a minute") - 2 :][:2] == [
        "ROUTING  shadow (by `pointsman mode`; the config says on)",
        "",
    ]


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "up"),
        ({"up": False, "reachable": False}, "down"),
        ({"up": False, "key_accepted": False}, "key refused"),
        ({"up": False, "breaker": "open"}, "failing"),
    ],
)
def test_the_state_of_an_endpoint(fields: dict[str, Any], state: str) -> None:
    assert lines(status(endpoint(**fields)))[5].startswith(f"vllm-primary              {state}  ")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_it_fits_a_screen_of_80_by_24_with_its_prompt(count: int) -> None:
    """However long names and lists are, and however much there is."""
    adapters = [adapter(f"adapter-of-a-long-name-{n}") for n in range(14)]
    found = status(*(endpoint(f"endpoint-{n}" * 9, *adapters) for n in range(count)), decisions=60)
    found["traffic"]["errors"] = [{"status": 400 + n, "requests": n} for n in range(100)]
    found["traffic"]["models"] = [model(f"model-of-a-long-name-{n}" * 9) for n in range(14)]
    found["unwell"] = [unwell("long" * 90) for _ in range(9)]

    shown = lines(found | {"trouble": "the classifier stopped " * 9})

    assert len(shown) <= 23
    assert max(map(len, shown)) <= 80
    assert shown[-1].startswith("and ")


def test_of_many_endpoints_those_in_trouble_come_first() -> None:
    many = [endpoint(f"well-{n}") for n in range(9)] + [endpoint("ill", up=False, reachable=False, error="refused")]

    shown = lines(status(*many))

    assert shown[5].startswith("ill")
    assert shown[6] == "  refused"
    assert "and 5 more, see --json" in shown


def test_a_name_cannot_move_the_cursor() -> None:
    """Markup is shown as it is."""
    name = "\x1b[2J<b>gone</b>\n"
    found = status(endpoint("vllm", adapter(name)), unwell=[unwell(name, why=f"worse than {name}")])
    found["traffic"]["models"] = [model(name)]
    shown = render(found, "127.0.0.1:9190")
    assert "\x1b" not in shown
    assert shown.count("?[2J<b>gone</b>?") == 4


def test_of_two_hundred_adapters_those_that_fail_or_are_slow_come_first_and_the_rest_is_counted() -> None:
    names = [f"adapter-{number}" for number in range(200)]
    found = status(endpoint("vllm", *map(adapter, names)), decisions=200)
    found["traffic"]["models"] = [model(name) for name in names]
    found["unwell"] = [unwell(name, state="slow") for name in names[:100]]
    shown = lines(found)
    assert [line.partition(",")[0] for line in shown[3:6]] == ["SLOW  adapter-0", "SLOW  adapter-1", "SLOW  adapter-2"]
    assert shown[6] == "and 97 more that fail or are slow, see --json"
    assert len(shown) <= 23
    assert max(map(len, shown)) <= 80


@pytest.mark.parametrize(
    ("seconds", "found"), [(5, "5 s"), (61, "1 min 1 s"), (3_661, "1 h 1 min"), (200_000, "2 d 7 h")]
)
def test_the_time_since_the_start(seconds: int, found: str) -> None:
    assert lines(status(uptime_s=seconds))[0].endswith(f"up {found}")


def test_the_rate_of_a_young_service_counts_the_minutes_that_it_has_run() -> None:
    found = status()
    found["traffic"]["seconds"] = 120
    assert "LAST 2 MIN  1,203 requests, 601.5 a minute" in render(found, "unix:/admin.sock")


def shadow(**fields: Any) -> dict[str, Any]:
    share = {"texts": 950, "share": 0.95, "low": 0.9347, "high": 0.9618}
    made = {
        "artifact": "candidate",
        "state": "running",
        "error": None,
        "compared": 1000,
        "agreed": share,
        "rerouted": share | {"texts": 41},
        "confidence_difference": 0.01,
        "pairs": [
            {"category": "law", "shadow": "health", "texts": 30},
            {"category": None, "shadow": "law", "texts": 11},
            {"category": "law", "shadow": None, "texts": 9},
        ],
        "waiting": 0,
        "shed": 0,
        "failed": 0,
    }
    return made | fields


def shown(report: dict[str, Any] | None) -> list[str]:
    lines = render(status(shadow=report), "here").splitlines()
    start = next((index for index, line in enumerate(lines) if line.startswith("SHADOW")), len(lines))
    return lines[start : lines.index("", start)] if start < len(lines) else []


def test_status_shows_agreement_the_largest_differences_and_what_was_lost() -> None:
    assert shown(shadow()) == [
        "SHADOW  candidate, running; agrees on 95.0 % (93.5 to 96.2) of 1,000 texts",
        "  41 would go to other models; law > health (30), - > law (11)",
    ]
    assert shown(shadow(shed=7, failed=2))[2:] == ["  7 shed, 2 failed"]
    assert shown(shadow(compared=0, state="loading")) == ["SHADOW  candidate, loading"]
    assert shown(shadow(compared=0, state="stopped", error="ended by signal 9")) == [
        "SHADOW  candidate, stopped",
        "  ended by signal 9",
    ]
    assert shown(None) == []
