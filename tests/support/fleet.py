"""A fleet of models under traffic, in virtual time: what vLLM answers, and what is said of it."""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from pointsman.app import gauges
from pointsman.app.model_watch import ModelWatch
from pointsman.config.model import Config, Lora, Model
from pointsman.observability.log import Log
from pointsman.observability.metrics import Metrics
from pointsman.observability.record import Record
from pointsman.routing.decision import Decision, Reason
from pointsman.routing.edits import Edits
from support.log import Memory
from support.toy_config import config

BASE = "base"
TICK_SECONDS = 5.0
R = random.Random()  # noqa: S311 - seeded by each test
FAILED: dict[str, Any] = {"status": 500, "failed": True, "answered": 0.02, "streamed": False}


def adapters(count: int) -> list[str]:
    return [f"adapter-{number}" for number in range(count)]


def serving(count: int, *others: str, **fields: Any) -> Config:
    """A config with one base model and its adapters, and other base models."""
    loras = tuple(Lora(name=name) for name in adapters(count))
    models = {BASE: Model(loras=loras)} | {name: Model() for name in others}
    return config(default_model=BASE, model_config=models, **fields)


def answered(model: str, base: str = BASE, **fields: Any) -> Record:
    """Return a request that has ended: by default a stream with a first byte within 0.2 s."""
    given: dict[str, Any] = {
        "status": 200,
        "endpoint": "a",
        "answered": 0.2,
        "streamed": True,
        "sent_bytes": 1000,
        "started": 0.0,
    }
    given |= fields
    given = {"first_byte": given["answered"], "seconds": given["answered"] or 0.0} | given
    record = Record("id", "/v1/chat/completions", **given)
    decision = Decision(model, base, (), None, None, Reason.EXPLICIT_MODEL, Edits())
    routed: Any = SimpleNamespace(decision=decision, classification=None)
    record.routed = routed
    return record


def left(seconds: float, *, streamed: bool = False) -> dict[str, Any]:
    """Return the record of a client that left before the first byte; `streamed` if the head of a stream had come."""
    return {"status": 499, "answered": None, "waited": seconds, "streamed": streamed}


class Watched:
    """A `ModelWatch` and its metrics, whose time the test moves; it judges every TICK_SECONDS, as in the service."""

    def __init__(self, served: Config) -> None:
        self.now = 0.0
        self._log = Memory()
        self._under_way: list[tuple[float, int, Record]] = []
        self._begun = 0
        self.metrics = Metrics(served.models)
        self.watch = ModelWatch(Log("info", self._log), self._settle, lambda: self.now)
        self.metrics.counted = self.watch.add
        gauges.watch_models(self.metrics, self.watch, lambda: [endpoint.name for endpoint in served.vllm_endpoints])
        self.watch.follow(served)

    def _settle(self) -> None:
        while self._under_way and self._under_way[0][0] <= self.now:
            self.metrics.count(heapq.heappop(self._under_way)[2])
        self.metrics.settle()

    def begins(self, record: Record) -> None:
        """Take a request that ends when its time is over."""
        self._begun += 1
        heapq.heappush(self._under_way, (record.started + record.seconds, self._begun, record))

    def ends(self, model: str, count: int = 1, **fields: Any) -> None:
        """Requests of a model that end now."""
        for _ in range(count):
            self.begins(answered(model, started=self.now, seconds=0.0, **fields))

    def scrape(self) -> str:
        """Return the present scrape of Prometheus."""
        self._settle()
        return self.metrics.render().decode()

    def wait(self, seconds: float) -> None:
        """Let time pass, with a judgment at its end and every TICK_SECONDS before."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + TICK_SECONDS)
            self.watch.judge()

    @property
    def said(self) -> list[dict[str, Any]]:
        """The lines of the log."""
        return [json.loads(line) for line in self._log.getvalue().splitlines()]

    def warnings(self) -> list[tuple[str, str]]:
        """Return the warnings: a model or an endpoint, and its problem."""
        lines = [line for line in self.said if line["level"] == "warning"]
        return [(line.get("model") or line["endpoint"], line["state"]) for line in lines]


@dataclass
class Traffic:
    """The request rate of a model, and the answers of vLLM: `answer` returns the fields of a record."""

    rate: float
    answer: Callable[[float], dict[str, Any]]


def play(watched: Watched, traffic: dict[str, Traffic], seconds: float) -> None:
    """Have all models asked at random times, and judged every TICK_SECONDS."""
    start, end = watched.now, watched.now + seconds
    arrivals = heapq.merge(*(_arrivals(name, one, start, end) for name, one in traffic.items()))
    for at, name in arrivals:
        while watched.now + TICK_SECONDS < at:
            watched.wait(TICK_SECONDS)
        watched.begins(answered(name, started=at, **traffic[name].answer(at)))
    watched.wait(end - watched.now)


def _arrivals(name: str, traffic: Traffic, start: float, end: float) -> Iterator[tuple[float, str]]:
    at = start + R.expovariate(traffic.rate)
    while at < end:
        yield at, name
        at += R.expovariate(traffic.rate)


def healthy(speeds: dict[str, float], rate: float | None = None) -> Traffic:
    """A model that does well, as models do.

    Errors of up to 2 %; prompts and answers of lengths of its own, log-normal; streams or whole answers, or both; a
    cold start where it was not asked for a minute. A share of clients leaves where the first byte takes longer than
    they have patience. `speeds` are the endpoints, and how slow each is.
    """
    errors = R.uniform(0.0, 0.02)
    streams = R.choice((0.0, 1.0, 1.0, R.random()))
    prompt, words = R.lognormvariate(7.5, 0.8), R.lognormvariate(4.5, 0.8)
    cold = R.choice((0.0, 0.5, R.uniform(0.5, 8.0)))
    impatient = R.choice((0.0, 0.1, R.random()))
    asked: dict[str, float] = {}

    def answer(at: float) -> dict[str, Any]:
        endpoint = R.choice(list(speeds))
        size, tokens = int(R.lognormvariate(0.0, 0.7) * prompt), max(1, int(R.lognormvariate(0.0, 0.8) * words))
        first = 0.05 + size / 40_000 * R.lognormvariate(0.0, 0.5) + R.expovariate(10)
        if at - asked.get(endpoint, -1e9) > 60:
            first += cold
        asked[endpoint] = at
        if R.random() < errors:
            return FAILED | {"endpoint": endpoint}
        streamed = R.random() < streams
        seconds = speeds[endpoint] * (first if streamed else first + tokens * 0.02 * R.lognormvariate(0.0, 0.15))
        if R.random() < impatient and seconds > (patience := R.lognormvariate(1.0, 1.0)):
            return {"endpoint": endpoint, "sent_bytes": size} | left(patience, streamed=streamed and R.random() < 0.5)
        return {
            "endpoint": endpoint,
            "answered": seconds,
            "seconds": seconds + tokens * 0.02 * streamed,
            "streamed": streamed,
            "sent_bytes": size,
            "tokens": None if streamed else (size // 4, tokens),
        }

    return Traffic(rate or 10 ** R.uniform(-2.3, -0.3), answer)


class Ill:
    """Traffic of an adapter that does well, but for a share of its answers; `at` has when these were asked for."""

    def __init__(self, share: float, rate: float, **bad: Any) -> None:
        self.at: list[float] = []
        well = healthy({"a": 1.0}, rate)

        def answer(at: float) -> dict[str, Any]:
            if R.random() >= share:
                return well.answer(at)
            self.at.append(at)
            return bad

        self.traffic = Traffic(rate, answer)
