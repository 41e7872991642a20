"""A request whose handling fails in a way that no code expects."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

from pointsman.api import _keep_text
from pointsman.exchange import Exchange
from pointsman.telemetry import Log, Metrics
from support.toy_config import config


def service(stream: io.StringIO, **more: Any) -> Any:
    return SimpleNamespace(metrics=Metrics(frozenset()), log=Log(stream=stream), config=config(), **more)


async def test_a_fault_of_ours_is_a_500_that_only_the_log_explains() -> None:
    stream = io.StringIO()
    serving = service(stream)
    generations: Any = SimpleNamespace(enter=lambda: serving, leave=lambda _: None)
    request: Any = SimpleNamespace(head=SimpleNamespace(values={b"x-request-id": b"ours"}))
    exchange = Exchange(generations, None, request, "/v1/chat/completions")  # type: ignore[arg-type]

    async def work() -> None:
        raise ZeroDivisionError("of our own")

    response = await exchange.settle(work())

    assert response is not None
    assert (response.status, json.loads(response.body)["error"]["code"]) == (500, "internal_error")
    assert b"of our own" not in response.body
    line = json.loads(stream.getvalue().splitlines()[0])
    assert (line["event"], line["request_id"]) == ("internal_error", "ours")
    assert "ZeroDivisionError: of our own" in line["traceback"]
    assert serving.metrics.in_flight == 0


def test_a_text_that_cannot_be_written_costs_a_warning_and_no_request() -> None:
    class Full:
        def keep(self, text_hash: str, text: str) -> None:
            raise OSError(28, "No space left on device")

    stream = io.StringIO()
    router = SimpleNamespace(classifier=SimpleNamespace(read=str))
    routed: Any = SimpleNamespace(classification=SimpleNamespace(text_hash="a"))
    _keep_text(service(stream, texts=Full(), router=router), "secret", routed)

    line = json.loads(stream.getvalue())
    assert (line["level"], line["event"]) == ("warning", "texts_file")
    assert "secret" not in stream.getvalue()
