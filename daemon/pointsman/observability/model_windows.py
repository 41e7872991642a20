"""Store the newest requests of each model, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pointsman.observability.log_line import cut
from pointsman.observability.record import MAX_NAME_BYTES, Record

NEWEST = 20
# For clients that left: many of them may have waited too briefly to tell anything.
MAX_LEFT_REQUESTS = 3 * NEWEST
MAX_AGE_SECONDS = 300.0
# Requests in the same slot count as concurrent.
SLOT_SECONDS = 10.0
# For models that are not in the config, which clients may make up while vLLM fails.
MAX_OTHER_MODELS = 16


class AnsweredRequest(NamedTuple):
    """A request that vLLM has answered, or failed to.

    `seconds` is the time from sending the request to the first byte of its answer. It depends on the bytes of the
    request, the number `in_flight`, and the tokens of an answer that is not a stream, which comes when it is complete;
    None if unknown, as of an embedding.
    """

    at: float
    endpoint: str
    failed: bool
    seconds: float | None
    streams: bool
    size: int
    tokens: int
    in_flight: int
    slot: int
    """The slot of time in which the request failed, or its answer began."""


class AbandonedRequest(NamedTuple):
    """A request whose client has left before the first byte of its answer, which would have taken at least `seconds`.

    Whether it `streams` is known only once vLLM has begun to answer.
    """

    at: float
    endpoint: str
    seconds: float
    streams: bool
    size: int
    in_flight: int
    slot: int
    """The slot of time in which the client left."""


Slots = Mapping[tuple[str, int], Mapping[str, AnsweredRequest | AbandonedRequest]]
"""By endpoint and slot of time, the first request of each model."""


class ModelWindow(NamedTuple):
    """The newest requests of a model, and separately those whose clients have left, so that these hide none of them."""

    answered: deque[AnsweredRequest]
    left: deque[AbandonedRequest]


class ModelWindows:
    """The newest requests of each model; memory is bounded by the number of models in the config."""

    def __init__(self) -> None:
        self._bases: Mapping[str, str] = {}
        self._windows: dict[str, ModelWindow] = {}
        self._slots: dict[tuple[str, int], dict[str, AnsweredRequest | AbandonedRequest]] = {}
        self._others = 0

    def follow(self, bases: Mapping[str, str]) -> None:
        """Expect these models, each with its base model; removed ones become others."""
        self._bases = bases
        others = [name for name in self._windows if name not in bases]
        for name in others[MAX_OTHER_MODELS:]:
            del self._windows[name]
        self._others = min(len(others), MAX_OTHER_MODELS)

    def add(self, records: Iterable[Record]) -> None:
        """Add requests that have ended, except those in which the model and vLLM have no part."""
        windows = self._windows
        for record in records:
            routed = record.routed
            counts = record.failed or record.status < 400 or record.waited is not None
            if routed is None or record.endpoint is None or not counts:
                continue
            decision = routed.decision
            name = decision.model
            if name not in self._bases:
                name = cut(decision.base_model, MAX_NAME_BYTES)
            window = windows.get(name)
            if window is None and (window := self._begun(name)) is None:
                continue
            at = record.started + record.seconds
            if record.waited is not None:
                size, in_flight = record.sent_bytes, record.in_flight
                slot = int(at / SLOT_SECONDS)
                left = AbandonedRequest(at, record.endpoint, record.waited, record.streamed, size, in_flight, slot)
                window.left.append(left)
                self._slots.setdefault((record.endpoint, slot), {}).setdefault(name, left)
                continue
            tokens = 0 if record.tokens is None else record.tokens[1]
            known_at = at if record.failed or record.answered is None else record.started + record.answered
            answered = AnsweredRequest(
                at,
                record.endpoint,
                record.failed,
                record.answered if record.streamed or tokens else None,
                record.streamed,
                record.sent_bytes,
                tokens,
                record.in_flight,
                int(known_at / SLOT_SECONDS),
            )
            window.answered.append(answered)
            self._slots.setdefault((record.endpoint, answered.slot), {}).setdefault(name, answered)

    def _begun(self, name: str) -> ModelWindow | None:
        """Return a new window for a model, or None if there are too many that are not in the config."""
        if name not in self._bases:
            if self._others >= MAX_OTHER_MODELS:
                return None
            self._others += 1
        window = self._windows[name] = ModelWindow(deque(maxlen=NEWEST), deque(maxlen=MAX_LEFT_REQUESTS))
        return window

    def recent(self, now: float) -> dict[str, list[AnsweredRequest]]:
        """Return the newest requests by model, the oldest first; drop old ones."""
        since, found = now - MAX_AGE_SECONDS, {}
        for name, window in list(self._windows.items()):
            for samples in window:
                while samples and samples[0].at < since:
                    samples.popleft()
            if window.answered:
                found[name] = list(window.answered)
            elif not window.left and name not in self._bases:
                del self._windows[name]
                self._others -= 1
        self._slots = {key: slot for key, slot in self._slots.items() if (key[1] + 1) * SLOT_SECONDS >= since}
        return found

    def left(self) -> dict[str, list[AbandonedRequest]]:
        """Return the requests whose clients have left, as `recent` does; call it after `recent`."""
        return {name: list(window.left) for name, window in self._windows.items() if window.left}

    @property
    def slots(self) -> Slots:
        """Return the outcome of concurrent requests, as far back as the newest requests."""
        return self._slots
