"""The classification API, in front of a classifier that takes its time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from pointsman.classify.classification import Classification, Timing
from pointsman.errors import ClassifierError
from support import playbook
from support.playbook import playing

SURE = Classification((0.98, 0.01, 0.01), 5, False, Timing(), "run", "5ca1ab1e")


class Held:
    """A classifier whose texts run until the test ends them; two go together."""

    def __init__(self) -> None:
        self.running: dict[str, asyncio.Future[Classification]] = {}

    async def classify(self, text: str, *_: object) -> Classification:
        self.running[text] = asyncio.get_running_loop().create_future()
        try:
            return await self.running[text]
        finally:
            del self.running[text]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    found = Held()
    monkeypatch.setattr(playbook._Sure, "classify", lambda _, text, *more: found.classify(text, *more))
    monkeypatch.setattr(playbook._SureEncoder, "turn", asyncio.Lock())
    monkeypatch.setattr(playbook._SureEncoder, "runs", lambda _, texts: [texts[:2], texts[2:]])
    return found


def test_nothing_of_a_batch_that_fails_is_classified_any_longer(held: Held) -> None:
    """It would count in no limit, as the request has ended."""
    with playing() as wire:
        begins(wire, ["What is a heap?", "Why do I cough?"])
        assert held.running.keys() == {"What is a heap?", "Why do I cough?"}
        held.running["Why do I cough?"].set_exception(ClassifierError("stopped"))
        wire.clock.advance(0)
        assert wire.answer.status == 503
        assert not held.running


def test_batches_take_turns_after_each_run(held: Held) -> None:
    """So that other requests wait for one, however many clients have a batch."""
    with playing() as wire:
        begins(wire, ["a", "b", "c"])
        begins(wire, ["d", "e"])
        assert held.running.keys() == {"a", "b"}
        for _ in range(2):
            for one in held.running.values():
                one.set_result(SURE)
            wire.clock.advance(0)
        assert held.running.keys() == {"c"}


def test_a_batch_with_an_empty_text_is_refused_while_another_one_has_its_turn(held: Held) -> None:
    with playing() as wire:
        begins(wire, ["a", "b"])
        begins(wire, ["c", " "])
        assert wire.answer.status == 400
        assert held.running.keys() == {"a", "b"}


def begins(wire: Any, texts: list[str]) -> None:
    body = json.dumps({"texts": texts}).encode()
    wire.client = wire.connect()
    head = b"POST /api/v1/classify/batch HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    wire.client.sends(head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
