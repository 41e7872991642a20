"""What is on an arm of an experiment has its tokens counted, also in streams whose client asked for no usage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from pointsman.config.model import Canary, CategoryRollout, Lora, Model, RoutingOptions
from support.playbook import LAST, STREAM, Wire, chunk, playing, with_length
from support.toy_config import BASE

USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":60,"completion_tokens":40}}\n\n'
WORD = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
DONE = b"data: [DONE]\n\n"


def asked_of_vllm(wire: Wire) -> Any:
    return json.loads(wire.upstream.written.rpartition(b"\r\n\r\n")[2])


LORAS = tuple(Lora(name=name) for name in ("technical-lora", "medical-lora", "legal-lora", "technical-v2"))
TRIED = {"technical": CategoryRollout(canary=Canary(adapter="technical-v2", percent=50))}


@contextmanager
def tried(**routing: Any) -> Iterator[Wire]:
    """A service with an experiment, and clients without keys."""
    with playing() as wire:
        wire._options = replace(wire._options, routing=RoutingOptions(**routing))
        wire.reload(base=Model(loras=LORAS))
        yield wire


def ask_of(wire: Wire, text: str = "python", path: str = "/v1/chat/completions", **fields: Any) -> None:
    """POST a chat on a connection of its own."""
    sent = json.dumps({"model": "MoM", "messages": [{"role": "user", "content": text}], **fields}).encode()
    head = [f"POST {path} HTTP/1.1", "Host: here", "Content-Type: application/json", f"Content-Length: {len(sent)}"]
    wire.client = wire.connect()
    wire.client.sends("\r\n".join([*head, "", ""]).encode() + sent)


@pytest.mark.parametrize(
    ("routing", "arms"),
    [
        ({"categories": TRIED}, {"canary", "stable"}),
        ({"mode": "percent", "percent": 0}, {"holdback"}),
        ({"categories": {"technical": CategoryRollout(mode="percent", percent=99.9999)}}, {"routed"}),
    ],
)
def test_the_tokens_of_streams_on_an_arm_are_counted_and_the_client_gets_no_usage(
    routing: dict[str, Any], arms: set[str]
) -> None:
    """Though nobody asked for it; else arms could not be compared by their tokens."""
    with tried(**routing) as wire:
        for number in range(8):
            ask_of(wire, f"python {number}", stream=True)
            assert asked_of_vllm(wire)["stream_options"] == {"include_usage": True}
            wire.upstream.sends(STREAM + chunk(WORD) + chunk(USAGE) + chunk(DONE) + LAST)
            assert wire.answer.body == WORD + DONE
        outcomes = wire.outcomes()[-8:]
        assert {line["arm"] for line in outcomes} <= arms
        assert {(line["prompt_tokens"], line["completion_tokens"]) for line in outcomes} == {(60, 40)}
        assert all("stream_options" in line["edited"] for line in outcomes)


@pytest.mark.parametrize(
    ("category", "fields"),
    [
        ("technical", {"model": BASE, "stream": True}),
        ("legal", {"stream": True}),
        ("technical", {"stream": False}),
        ("technical", {}),
        ("technical", {"stream": True, "stream_options": {"include_usage": True}}),
        ("technical", {"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True}}),
        ("technical", {"stream": True, "stream_options": "odd"}),
    ],
)
def test_all_other_answers_pass_as_vllm_sends_them(category: str, fields: dict[str, Any]) -> None:
    """Of who names a model, where another category has the experiment, and of who asks for the usage."""
    with tried(categories={category: TRIED["technical"]}) as wire:
        ask_of(wire, **fields)
        assert asked_of_vllm(wire).get("stream_options") == fields.get("stream_options")
        wire.upstream.sends(STREAM + chunk(WORD) + chunk(USAGE) + chunk(DONE) + LAST)
        assert wire.answer.body == WORD + USAGE + DONE


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
def test_streams_that_tell_their_usage_anyhow_are_not_asked(path: str) -> None:
    with tried(mode="percent", percent=0) as wire:
        said: dict[str, Any] = {"input": "python"} if "responses" in path else {}
        ask_of(wire, path=path, stream=True, **said)
        assert "stream_options" not in asked_of_vllm(wire)


def test_an_answer_of_the_next_model_has_no_usage_either() -> None:
    """The request is planned anew where vLLM turns out not to serve the adapter."""
    with tried(mode="percent", percent=99.9999) as wire:
        ask_of(wire, stream=True)
        gone = {
            "error": {"message": "The model `technical-lora` does not exist.", "type": "NotFoundError", "code": 404}
        }
        wire.upstream.sends(with_length(json.dumps(gone).encode(), "404 Not Found"))
        assert asked_of_vllm(wire)["stream_options"] == {"include_usage": True}
        wire.upstream.sends(STREAM + chunk(WORD) + chunk(USAGE) + chunk(DONE) + LAST)
        assert wire.answer.body == WORD + DONE
