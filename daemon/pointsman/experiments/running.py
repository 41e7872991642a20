"""Follow the running experiments, canaries and shares of the traffic, and report how their sides compare."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from pointsman.config.model import Config, RoutingOptions
from pointsman.experiments.failure import has_failed
from pointsman.experiments.prices import Prices, cost_of, prices_of
from pointsman.experiments.tally import Tally, frequent_labels
from pointsman.experiments.verdicts import first_bytes_differ, verdicts
from pointsman.observability.answers import Answer
from pointsman.observability.feedback_file import FeedbackLine
from pointsman.observability.metrics import Metrics
from pointsman.observability.record import Record, draw_of
from pointsman.routing.canaries import Arm
from pointsman.routing.router import RoutedRequest
from pointsman.server.request import Request
from pointsman.server.response import Response, json_response
from pointsman.server.routes import Route

# Conversations that are known, of all sides together; each takes 300 bytes.
MAX_KNOWN_CONVERSATIONS = 50_000
# Conversations whose feedback is known.
MAX_RATED_CONVERSATIONS = 10_000
# Authors of feedback that are told apart, of all sides together; each takes 300 bytes.
MAX_AUTHORS = 10_000


class ExperimentKey(NamedTuple):
    """The subject of an experiment: a category's canary, or its share; without a category, that of all others."""

    canary: bool
    category: str | None


class ExperimentSetting(NamedTuple):
    """The setting of an experiment; another one begins the comparison anew."""

    adapter: str | None
    percent: float

    @property
    def runs(self) -> bool:
        """Return whether there are two sides."""
        return 0 < self.percent < 100


@dataclass(slots=True)
class Experiment:
    """The two sides of an experiment, since `started`; `ended` is None while conversations are drawn."""

    setting: ExperimentSetting
    sides: tuple[Tally, Tally]
    started: float
    ended: float | None = None

    def ran(self, at: float | None) -> bool:
        """Return whether the experiment runs, or ran at a time."""
        if at is None:
            return self.ended is None
        return self.started <= at and (self.ended is None or at <= self.ended)


class Experiments:
    """The experiments of the current config, and the results of those that were stopped and are still in it."""

    def __init__(self) -> None:
        self._found: dict[ExperimentKey, Experiment] = {}
        self._prices: Prices = {}
        self._currency: str | None = None
        self._authors = RoutingOptions().verdict_authors
        self._with_own_mode: frozenset[str] = frozenset()  # categories with a mode of their own

    def follow(self, config: Config, routing: RoutingOptions) -> None:
        """Follow the experiments of a config; `routing` includes the changes of commands and the service."""
        self._prices = prices_of(config)
        self._currency = next((one.pricing.currency for one in config.model_config.values() if one.pricing), None)
        self._authors = config.pointsman.routing.verdict_authors
        self._with_own_mode = frozenset(name for name, one in routing.categories.items() if one.mode is not None)
        wanted = dict(_settings(config, routing))
        sides = max(2 * len(wanted), 1)
        bounds = MAX_KNOWN_CONVERSATIONS // sides, MAX_RATED_CONVERSATIONS // sides, MAX_AUTHORS // sides
        found: dict[ExperimentKey, Experiment] = {}
        for key, setting in wanted.items():
            known = self._found.get(key)
            if known is not None and not setting.runs and known.setting.adapter == setting.adapter:
                known.ended = known.ended or time.time()
                found[key] = known
            elif known is not None and known.ended is None and known.setting == setting:
                found[key] = known
            elif setting.runs:
                names = (Arm.CANARY, Arm.STABLE) if key.canary else (Arm.ROUTED, Arm.HOLDBACK)
                first, second = (Tally(name, *bounds) for name in names)
                found[key] = Experiment(setting, (first, second), time.time())
        self._found = found

    def add(self, records: Iterable[Record]) -> None:
        """Count requests that have ended."""
        if not self._found:
            return
        for record in records:
            routed = record.routed
            # A client that left says nothing about the model.
            if routed is not None and routed.decision.arm is not None and record.endpoint and record.status != 499:
                self._add(record, routed, routed.decision.arm)

    def _add(self, record: Record, routed: RoutedRequest, arm: Arm) -> None:
        draw = draw_of(routed)
        if draw is None:
            return
        category = routed.decision.category
        first = None if record.first_byte is None else record.first_byte * 1000
        prompt, completion = record.tokens or (0, 0)
        cost = cost_of(self._prices, routed.decision.model, prompt, completion)
        failed = has_failed(record.status, record.error, routed.decision.reason)
        for side in self._sides(category, arm):
            side.add(f"{category} {draw}", failed=failed, first_byte=first, tokens=completion, cost=cost)

    def rate(self, answer: Answer, said: FeedbackLine) -> None:
        """Count a client's feedback on an answer."""
        if answer.arm is None or answer.draw is None:
            return
        for side in self._sides(answer.category, Arm(answer.arm), answer.at):
            side.rate(f"{answer.category} {answer.draw}", said.score, said.label, answer.rater)

    def _sides(self, category: str | None, arm: Arm, at: float | None = None) -> Iterator[Tally]:
        """Yield the sides that a request is on, now or at that time; a request of a canary is routed as well."""
        tried = self._found.get(ExperimentKey(True, category))
        if tried is not None and tried.ran(at) and arm in (Arm.CANARY, Arm.STABLE):
            yield tried.sides[arm is Arm.STABLE]
        shared = self._found.get(ExperimentKey(False, category if category in self._with_own_mode else None))
        if shared is not None and shared.ran(at):
            yield shared.sides[arm is Arm.HOLDBACK]

    def report(self) -> dict[str, Any]:
        """Return the experiments as JSON, with what is certain about each."""
        return {
            "currency": self._currency,
            "experiments": [
                {
                    "kind": "canary" if key.canary else "share",
                    "category": key.category,
                    "adapter": one.setting.adapter,
                    "percent": one.setting.percent,
                    "started": round(one.started, 3),
                    "ended": None if one.ended is None else round(one.ended, 3),
                    "sides": [side.figures(labels) for side in one.sides],
                    "first_byte_ratio": _ratio(*one.sides),
                    "verdicts": verdicts(*one.sides, self._authors),
                }
                for key, one in self._found.items()
                for labels in [frequent_labels(*one.sides)]
            ],
        }


def experiments_route(experiments: Experiments, metrics: Metrics) -> Route:
    """Return the route `GET /experiments`: the comparison of their sides, and the requests withheld by the rollout."""

    async def handler(_: Request) -> Response:
        metrics.settle()
        withheld = sorted(metrics.withheld.items(), key=lambda item: -item[1])
        rows = [
            {"reason": reason, "category": category, "model": model, "requests": int(count)}
            for (reason, category, model), count in withheld
        ]
        return json_response(experiments.report() | {"withheld": rows})

    return Route("GET", "/experiments", handler)


def _settings(config: Config, routing: RoutingOptions) -> Iterator[tuple[ExperimentKey, ExperimentSetting]]:
    """Yield the experiments of the config, and those that were stopped."""
    tried = config.pointsman.routing
    if tried.mode == "percent" or routing.mode == "percent":
        yield ExperimentKey(False, None), _share(routing.mode, routing.percent)
    for name, one in tried.categories.items():
        now = routing.categories.get(name)
        if one.mode == "percent":
            yield (
                ExperimentKey(False, name),
                _share(None if now is None else now.mode, None if now is None else now.percent),
            )
        if one.canary is not None:
            canary = None if now is None else now.canary
            yield (
                ExperimentKey(True, name),
                ExperimentSetting(one.canary.adapter, 0.0 if canary is None else canary.percent),
            )


def _share(mode: str | None, percent: float | None) -> ExperimentSetting:
    return ExperimentSetting(None, (percent or 0.0) if mode == "percent" else 0.0)


def _ratio(first: Tally, second: Tally) -> dict[str, float] | None:
    """Return the first byte of one side over the other's, with its bounds."""
    found = first_bytes_differ(first, second)
    if found is None:
        return None
    return {name: math.exp(value) for name, value in (("value", found.value), ("low", found.low), ("high", found.high))}
