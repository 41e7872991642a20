"""The classification API, in front of a classifier that takes its time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from pointsman.classify.classifier import Classification
from support import playbook
from support.playbook import playing


def test_nothing_of_a_batch_that_is_refused_is_classified_any_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would count in no limit, as the request has ended."""
    running = 0

    async def classify(*_: object) -> Classification:
        nonlocal running
        running += 1
        try:
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]
        finally:
            running -= 1

    monkeypatch.setattr(playbook._Sure, "classify", classify)
    monkeypatch.setattr(playbook._Sure, "at_once", 2, raising=False)
    with playing() as wire:
        begins(wire, ["What is a heap?", "Why do I cough?"])
        assert running == 2
        begins(wire, ["What is a contract?", ""])
        assert wire.answer.status == 400
        assert running == 2


def begins(wire: Any, texts: list[str]) -> None:
    body = json.dumps({"texts": texts}).encode()
    wire.client = wire.connect()
    head = b"POST /api/v1/classify/batch HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    wire.client.sends(head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
