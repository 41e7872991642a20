"""Counting tokens: those of the request that vLLM would get."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from support.playbook import OK, Wire
from support.toy_config import BASE, category

PATH = "/v1/messages/count_tokens"


def body(wire: Wire, path: str, model: str, text: str = "Why?") -> dict[str, Any]:
    """What vLLM gets of a request."""
    data = json.dumps({"model": model, "system": "Mine.", "messages": [{"role": "user", "content": text}]}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
    wire.client.sends(head.encode() + b"\r\n\r\n" + data)
    sent = wire.upstream.written.rpartition(b"\r\n\r\n")[2]
    wire.upstream.sends(OK)
    found: dict[str, Any] = json.loads(sent)
    return found


def prompted() -> Any:
    return replace(category("technical"), system_prompt="Ours.", system_prompt_mode="insert")


def test_the_tokens_are_those_of_the_routed_request(wire: Wire) -> None:
    wire.reload(categories=(prompted(),))
    counted, routed = body(wire, PATH, "MoM"), body(wire, "/v1/messages", "MoM")
    assert counted == routed
    assert (counted["model"], counted["system"]) == ("technical-lora", "Ours.\n\nMine.")


def test_a_named_model_is_counted_as_it_came(wire: Wire) -> None:
    wire.reload(categories=(prompted(),))
    counted = body(wire, PATH, BASE)
    assert (counted["model"], counted["system"]) == (BASE, "Mine.")


def test_counting_is_not_remembered(wire: Wire) -> None:
    conversations = wire.generations.current.backend.router._conversations
    body(wire, PATH, "MoM")
    assert len(conversations._store._entries) == 0
    body(wire, "/v1/messages", "MoM")
    assert len(conversations._store._entries) == 1
