"""Watch the models, and report one that fails or is slow: in the log, in the metrics and in `GET /status`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pointsman.config.model import AdapterOptions, Config
from pointsman.observability.log import Log
from pointsman.observability.model_flags import Flag, Flags
from pointsman.observability.model_health import LatencyBaseline, ModelJudge, OutlierBounds
from pointsman.observability.model_windows import ModelWindows
from pointsman.observability.record import Record

JUDGE_SECONDS = 5.0
MODELS_AT_ONCE = 32


class ModelWatch:
    """The newest requests of all models, and the models that fail or are slow."""

    def __init__(self, log: Log, settle: Callable[[], None], clock: Callable[[], float] = time.perf_counter) -> None:
        """Take `settle`, which calls `add` with all requests that have ended; `clock` is that of records."""
        self._log = log
        self._settle = settle
        self._clock = clock
        self._windows = ModelWindows()
        self._last_hour = LatencyBaseline()
        self._bases: Mapping[str, str] = {}
        self._bounds = _bounds(AdapterOptions())
        self._models = {what: self._flags("model", what) for what in ("failing", "slow")}
        self._endpoints = {what: self._flags("endpoint", what) for what in ("failing", "slow")}

    def follow(self, config: Config) -> None:
        """Judge by the options of a config, and expect its models."""
        loras = {lora.name: base for base, model in config.model_config.items() for lora in model.loras}
        self._bases = {config.default_model: config.base_of(config.default_model)}
        self._bases |= {base: base for base in config.model_config} | loras
        self._bounds = _bounds(config.pointsman.adapters)
        self._windows.follow(self._bases)

    def add(self, records: Iterable[Record]) -> None:
        """Add requests that have ended."""
        self._windows.add(records)

    async def run(self) -> None:
        """Judge every JUDGE_SECONDS, until canceled."""
        while True:
            for _ in self._steps():
                await asyncio.sleep(0)  # everything takes 20 ms with 200 models at three endpoints
            await asyncio.sleep(JUDGE_SECONDS)

    def judge(self) -> None:
        """Find new and past problems."""
        for _ in self._steps():
            pass

    def _steps(self) -> Iterator[None]:
        """Find problems in steps, between which other work may be done."""
        self._settle()
        now = self._clock()
        recent = self._windows.recent(now)
        judge = ModelJudge(
            recent, self._windows.left(), self._bases, self._bounds, self._last_hour.before(now), self._windows.slots
        )
        # An endpoint's fault is reported once for the endpoint, not for each of its models.
        failing, slow = self._endpoints["failing"], self._endpoints["slow"]
        for flags, judged in ((failing, judge.all_failing), (slow, judge.all_slow)):
            found = {}
            for name in judge.endpoints:
                yield
                found[name] = judged(name)
            flags.update(found, now)
        self._last_hour.take(judge, slow.all, now)
        for what, of_model, names, ill in (
            ("failing", judge.failing, judge.but_for(failing.all), failing.all),
            ("slow", judge.slow, judge.asked_but_for(slow.all), slow.all),
        ):
            found = {}
            for number, name in enumerate(names):
                if number % MODELS_AT_ONCE == 0:
                    yield
                found[name] = of_model(name, ill)
            self._models[what].update(found, now)

    def models(self, what: str) -> dict[str, float]:
        """Return 1 for each model that is `failing` or `slow`, else 0; models outside the config are `other`."""
        found = dict.fromkeys(self._bases, 0.0)
        for name in self._models[what].all:
            found[name if name in found else "other"] = 1.0
        return found

    def endpoints(self, what: str, known: Callable[[], Iterable[str]]) -> dict[str, float]:
        """Return 1 for each of the known endpoints most of whose models are `failing` or `slow`, else 0."""
        return {name: float(name in self._endpoints[what].all) for name in known()}

    def report(self) -> list[dict[str, Any]]:
        """Return the present problems as JSON: endpoints first, as they explain models."""
        now = self._clock()
        return [
            {
                "kind": kind,
                "name": name,
                "state": what,
                "why": flag.why,
                "for_s": round(now - flag.since),
                "models": list(flag.models),
            }
            for kind, by_state in (("endpoint", self._endpoints), ("model", self._models))
            for what, flags in by_state.items()
            for name, flag in flags.all.items()
        ]

    def _flags(self, kind: str, what: str) -> Flags:
        """Return flags that are logged: a warning at the beginning, and a line at the end."""

        def began(name: str, flag: Flag) -> None:
            about = {kind: name, "models": list(flag.models) or None}
            self._log.write("warning", "models", state=what, message=flag.why, **about)

        def ended(name: str, flag: Flag) -> None:
            seconds = round(self._clock() - flag.since)
            self._log.write("info", "models", state=f"no longer {what}", after_s=seconds, **{kind: name})

        return Flags(began, ended)


def _bounds(options: AdapterOptions) -> OutlierBounds:
    return OutlierBounds(options.failing_share, options.slow_factor)
