"""An hour with twelve adapters of which one fails and one is slow, as Prometheus and an operator see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.fleet import BASE, FAILED, Ill, R, Traffic, Watched, adapters, healthy, play, serving
from support.prometheus import prove

FAILING, SLOW = "adapter-3", "adapter-7"
MINUTE_SECONDS = 60
SCRAPE_SECONDS = 15
SINCE_THE_WARNING_SECONDS = 5 * MINUTE_SECONDS


class Hour:
    """What Prometheus gets of twelve adapters and their base model, in virtual time."""

    def __init__(self) -> None:
        R.seed(1)
        self._watched = Watched(serving(12))
        self._scrapes = [samples(self._watched)]
        self.warned: dict[str, float] = {}
        """When what is the matter was said, by the model or the endpoint."""

    def play(self, minutes: int, traffic: dict[str, Traffic]) -> None:
        for _ in range(minutes * MINUTE_SECONDS // SCRAPE_SECONDS):
            play(self._watched, traffic, SCRAPE_SECONDS)
            self._scrapes.append(samples(self._watched))
            for one in self._watched.watch.report():
                self.warned.setdefault(one["name"], self._watched.now - one["for_s"])

    def proves(self, folder: Path, ever: list[dict[str, str]], at: dict[float, list[dict[str, str]]]) -> None:
        """Have Prometheus evaluate the rules each minute, with a scrape each SCRAPE_SECONDS, and with one each minute.

        These are the alerts that fire at some time, and those that fire at a certain time.
        """
        firing = "group by (alertname, model, endpoint) ({})"
        some_time = 'max_over_time(ALERTS{alertstate="firing"}[1h])'
        expected = [sampled(firing.format(some_time), MINUTE_SECONDS * MINUTE_SECONDS, ever)]
        expected += [sampled(firing.format('ALERTS{alertstate="firing"}'), when, found) for when, found in at.items()]
        for step in (1, MINUTE_SECONDS // SCRAPE_SECONDS):
            series = self._series(step)
            prove(
                {"interval": f"{step * SCRAPE_SECONDS}s", "input_series": series, "promql_expr_test": expected}, folder
            )

    def _series(self, step: int) -> list[dict[str, str]]:
        scrapes = self._scrapes[::step]
        names = dict.fromkeys(name for one in scrapes for name in one)
        return [{"series": name, "values": " ".join(one.get(name, "_") for one in scrapes)} for name in names]


def samples(watched: Watched) -> dict[str, str]:
    """The values of the service's own series, with the labels that a scrape adds."""
    found = {}
    for line in watched.scrape().splitlines():
        if line.startswith("pointsman_"):
            name, _, value = line.rpartition(" ")
            name, _, labels = name.removesuffix("}").partition("{")
            found[f'{name}{{{labels}{"," if labels else ""}instance="here",job="pointsman"}}'] = value
    return found


def sampled(expression: str, seconds: float, found: list[dict[str, str]]) -> dict[str, Any]:
    labels = [",".join(f'{name}="{value}"' for name, value in one.items()) for one in found]
    samples = [{"labels": f"{{{one}}}", "value": 1} for one in labels]
    return {"expr": expression, "eval_time": f"{seconds:.0f}s", "exp_samples": samples}


def all_well() -> dict[str, Traffic]:
    return {name: healthy({"a": 1.0}, 0.3) for name in [BASE, *adapters(12)]}


def alert(name: str, **labels: str) -> dict[str, str]:
    return {"alertname": name} | labels


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("rate", "errors"),
    [
        pytest.param(0.2, [], id="a twentieth of all traffic fails"),
        pytest.param(1.0, [alert("PointsmanErrors")], id="a fifth, so that the service as a whole does"),
    ],
)
def test_the_alerts_name_the_two_that_are_ill_five_minutes_after_the_warning_and_no_other(
    tmp_path: Path, rate: float, errors: list[dict[str, str]]
) -> None:
    hour, well = Hour(), all_well()
    hour.play(10, well)
    hour.play(25, well | {FAILING: Ill(1.0, rate, **FAILED).traffic, SLOW: Ill(1.0, 0.2, answered=3.0).traffic})
    hour.play(25, well)
    found = [*errors, alert("PointsmanModelFailing", model=FAILING), alert("PointsmanModelSlow", model=SLOW)]
    assert hour.warned.keys() == {FAILING, SLOW}
    late = max(hour.warned.values()) + SINCE_THE_WARNING_SECONDS
    hour.proves(tmp_path, found, {late: found, 60 * MINUTE_SECONDS: []})


@pytest.mark.heavy
def test_in_an_hour_in_which_all_is_well_no_alert_fires(tmp_path: Path) -> None:
    hour = Hour()
    hour.play(60, all_well())
    hour.proves(tmp_path, [], {})


@pytest.mark.heavy
def test_what_all_models_have_in_common_is_an_alert_of_the_service_and_its_endpoint_and_of_no_model(
    tmp_path: Path,
) -> None:
    hour, well = Hour(), all_well()
    hour.play(20, well)
    hour.play(8, {name: Ill(1.0, 0.3, **FAILED).traffic for name in well})
    hour.play(12, well)
    hour.play(8, {name: Ill(1.0, 0.3, answered=6.0).traffic for name in well})
    hour.play(12, well)
    failing = [alert("PointsmanErrors"), alert("PointsmanEndpointFailing", endpoint="a")]
    slow = [alert("PointsmanSlow"), alert("PointsmanEndpointSlow", endpoint="a")]
    hour.proves(
        tmp_path, failing + slow, {26 * MINUTE_SECONDS: failing, 46 * MINUTE_SECONDS: slow, 60 * MINUTE_SECONDS: []}
    )
