"""A day of made-up traffic for the page: twelve adapters, of which one fails and one is slow, keys, and a canary."""

from __future__ import annotations

import math
import random
import time
from typing import Any

from pointsman.classify.classification import Classification, Timing
from pointsman.config.model import Canary, CategoryRollout, Lora, Model, RoutingOptions
from pointsman.observability.record import Record
from pointsman.routing.decision import Decision, MissedThreshold, Reason
from pointsman.routing.edits import EditedBody, Edits
from pointsman.routing.reading import AskClassification
from pointsman.routing.router import RoutedRequest
from support.page import STATUS, PagePort
from support.toy_config import config

BASE = "llama3-8b"
CATEGORIES = (
    *("technical", "legal", "medical", "finance", "support", "sales"),
    *("translation", "summaries", "sql", "hr", "marketing", "research"),
)
FAILING, SLOW, LOST, CANARY = "finance-lora", "medical-lora", "research-lora", "support-v2-lora"
# The share of requests for each category, and of each key.
BUSY = dict(zip(CATEGORIES, (30, 22, 14, 11, 16, 7, 6, 9, 8, 4, 3, 1), strict=True))
KEYS = {"search-team": 30, "helpdesk": 24, "docs-bot": 15, "ann": 6, "batch-nightly": 12, "mobile-app": 13}
HOSTS = ("gpu-1", "gpu-2")
DAY_SECONDS, HOUR_SECONDS, MINUTES_SECONDS = 86_400, 3_600, 900
TROUBLE_SECONDS = 420.0


def name_of(category: str) -> str:
    return f"{category}-lora"


class Scene:
    """Ends requests at any time; `now` is the present, in seconds since the epoch."""

    def __init__(self, seed: int = 5, now: float | None = None) -> None:
        self.now = time.time() if now is None else now
        self._dice = random.Random(seed)  # noqa: S311 - it is the same picture every time
        self._number = 0

    def play(self, port: PagePort) -> None:
        """Have a day of requests end, and tell the status; the port's traffic must begin a day ago."""
        port.metrics.know(frozenset({BASE, CANARY, *map(name_of, CATEGORIES)}))
        port.status |= self.status()
        self._play(port, self.now - DAY_SECONDS)

        self._compare(port)

    def _compare(self, port: PagePort) -> None:
        """Have conversations on both sides of the canary."""
        routing = RoutingOptions(categories={"legal": CategoryRollout(canary=Canary(adapter=CANARY, percent=20.0))})
        port.experiments.follow(config(routing=routing, base=Model(loras=(Lora(name=CANARY),))), routing)
        (experiment,) = port.experiments._found.values()
        for side, conversations, ms in zip(experiment.sides, (100, 400), (130.0, 180.0), strict=True):
            for number in range(conversations):
                first_byte = ms * self._dice.lognormvariate(0.0, 0.5)
                failed, tokens = self._dice.random() < 0.02, int(self._dice.lognormvariate(4.9, 0.8))
                side.add(f"{number}", failed=failed, first_byte=first_byte, tokens=tokens, cost=0.0)
                if number % 4 == 0:
                    side.rate(f"{number}", float(self._dice.random() < 0.8), None, f"{number % 7}")

    def go_on(self, port: PagePort) -> None:
        """Have requests end up to the present."""
        before, self.now = self.now, time.time()
        self._play(port, before)

    def _play(self, port: PagePort, at: float) -> None:
        # As the slots of the ranges are, which all begin at a multiple of their length.
        minutes, quarters = (self.now - HOUR_SECONDS) // 300 * 300, (self.now - MINUTES_SECONDS) // 60 * 60
        while at < self.now:
            slot = 300 if at < minutes else 60 if at < quarters else 15
            step = min(slot - at % slot, self.now - at)
            # More now than half a day ago, and never even.
            wave = (
                0.55 + 0.4 * math.cos(((at - self.now) / DAY_SECONDS + 0.1) * 2 * math.pi) + 0.08 * math.sin(at / 700)
            )
            count = max(0, round(self._dice.gauss(1, 0.12) * wave * 100 * step / 60))
            port.count(map(self._request, sorted(at + self._dice.uniform(0, step) for _ in range(count))))
            at += step
            port.traffic.take(at)

    def _request(self, at: float) -> Record:
        dice = self._dice
        self._number += 1
        record = Record(f"{dice.getrandbits(128):032x}", "/v1/chat/completions", ended=at)
        record.original_model = "auto"
        record.key = dice.choices(list(KEYS), list(KEYS.values()))[0]
        if dice.random() < 0.004:
            record.status, record.error = 404, f"the model `gpt-{dice.randrange(3, 9)}` does not exist"
            return record
        record.endpoint, record.status = dice.choice(HOSTS), 200
        decision = self._decision()
        score = 1.0 if decision.confidence is None else decision.confidence
        read = Classification((score,), 1, False, Timing(), "run", text_hash=f"{dice.getrandbits(32):08x}")
        record.routed = RoutedRequest(decision, EditedBody(b""), 0.0, reading=AskClassification("", read))
        self._answer(record, decision.model, trouble=at > self.now - TROUBLE_SECONDS)
        return record

    def _decision(self) -> Decision:
        dice = self._dice
        if dice.random() < 0.05:
            return Decision(BASE, BASE, (), None, None, Reason.EXPLICIT_MODEL, Edits())
        category = dice.choices(list(BUSY), list(BUSY.values()))[0]
        confidence = min(0.999, dice.betavariate(12, 1.4))
        if confidence < 0.66:
            missed = MissedThreshold(category, 0.66)
            return Decision(BASE, BASE, (), "other", confidence, Reason.LOW_CONFIDENCE, Edits(), missed=missed)
        model, arm = name_of(category), None
        if category == "support":
            model, arm = (CANARY, "canary") if dice.random() < 0.2 else (model, "stable")
        if model == LOST:
            return Decision(BASE, BASE, (), category, confidence, Reason.ADAPTER_MISSING, Edits())
        reason = Reason.STICKY if dice.random() < 0.3 else Reason.CLASSIFIED
        arms: Any = arm
        return Decision(model, BASE, (), category, confidence, reason, Edits(), adapter=True, arm=arms)

    def _answer(self, record: Record, model: str, *, trouble: bool) -> None:
        dice = self._dice
        if model == FAILING and trouble and dice.random() < 0.7:
            record.status, record.failed, record.seconds = 500, True, 0.05
            return
        if dice.random() < 0.002:
            record.status, record.failed, record.seconds = 502, True, 1.0
            record.error = f"10.0.0.{dice.randrange(2, 9)}:8000 closed the connection after {dice.randrange(9)} bytes"
            return
        slower = 22.0 if model == SLOW and trouble else 1.0
        record.first_byte = slower * dice.lognormvariate(-2.3, 0.5)
        record.seconds = record.first_byte + dice.lognormvariate(0.4, 0.7)
        record.tokens = int(dice.lognormvariate(6.3, 0.9)), int(dice.lognormvariate(4.9, 0.8))

    def status(self) -> dict[str, Any]:
        """Return the `/status` at the end."""
        names = [*map(name_of, CATEGORIES), CANARY]
        return STATUS | {
            "uptime_s": 4 * DAY_SECONDS + 7 * HOUR_SECONDS,
            "in_flight": 7,
            "models": [{"name": name, "base": BASE} for name in (BASE, *names)],
            "endpoints": [
                {
                    "endpoint": host,
                    "up": True,
                    "reachable": True,
                    "key_accepted": True,
                    "breaker": "closed",
                    "in_flight": 3 + index,
                    "base_models": [BASE],
                    "adapters": [{"name": name, "state": "missing" if name == LOST else "served"} for name in names],
                }
                for index, host in enumerate(HOSTS)
            ],
            "classifier": STATUS["classifier"]
            | {"artifact": "builtin", "cache": {"hits": 31_852, "misses": 90_417, "coalesced": 122}},
            "traffic": {"run_ms": {"p50": 5.0, "p95": 10.0}},
            "unwell": [
                {
                    "kind": "model",
                    "name": FAILING,
                    "state": "failing",
                    "why": f"14 of its newest 20 requests failed, of its base model {BASE} 0%",
                    "for_s": 391,
                    "models": [],
                },
                {
                    "kind": "model",
                    "name": SLOW,
                    "state": "slow",
                    "why": "the first byte takes 2.31 s (median), of comparable requests 0.11 s",
                    "for_s": 334,
                    "models": [],
                },
            ],
        }
