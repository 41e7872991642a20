"""Requests of limited keys, event by event: when they are refused, and what they pay for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.client_keys import bearer, line
from support.playbook import LAST, OK, STREAM, Wire, chunk, playing, with_length
from support.rows import rows
from support.toy_config import BASE

USED = b'{"usage": {"prompt_tokens": %d, "completion_tokens": %d}}'


def send(wire: Wire, name: str = "ann", path: str = "/v1/chat/completions", kind: str = "", **fields: Any) -> None:
    """POST a chat on a connection of its own."""
    body = json.dumps({"model": BASE, "messages": [{"role": "user", "content": "Why?"}], **fields}).encode()
    head = [f"POST {path} HTTP/1.1", "Host: here", f"Content-Type: {kind or 'application/json'}", bearer(name)]
    wire.client = wire.connect()
    wire.client.sends("\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body)


def value(wire: Wire, name: str) -> str | None:
    """The value of a header that the client got."""
    lines = dict(text.split(": ", 1) for text in wire.answer.head.decode().split("\r\n")[1:] if text)
    return {name.lower(): value for name, value in lines.items()}.get(name)


def left(wire: Wire, name: str = "ann") -> int:
    """The tokens that a key may still use."""
    limiter = wire.generations._builder._key_limiter
    (found,) = [key for key in wire.generations.current.backend.keys or () if key.name == name]
    assert found.limits is not None
    assert found.limits.tokens_per_minute is not None
    return int(limiter._uses[name].tokens.left(found.limits.tokens_per_minute, wire.clock.time()))


def test_requests_beyond_the_limit_are_a_429_that_says_when_to_come_again() -> None:
    with playing(keys=line("ann", requests_per_minute=2)) as wire:
        for remaining in ("1", "0"):
            send(wire)
            wire.upstream.sends(OK)
            assert wire.answer.status == 200
            assert value(wire, "x-ratelimit-remaining-requests") == remaining
        send(wire)
        assert wire.error == (429, "rate_limit_exceeded")
        assert value(wire, "retry-after") == "30"
        assert value(wire, "x-ratelimit-limit-requests") == "2"
        assert value(wire, "x-ratelimit-remaining-requests") == "0"
        assert value(wire, "x-ratelimit-reset-requests") == "1m0s"
        assert wire.refusals["key_requests"] == 1
        wire.clock.advance(30)
        send(wire)
        wire.upstream.sends(OK)
        assert wire.answer.status == 200


def test_a_limit_is_of_the_key_and_not_of_a_connection_or_a_config() -> None:
    with playing(keys=line("ann", requests_per_minute=1) + line("bob", requests_per_minute=1)) as wire:
        send(wire)
        wire.upstream.sends(OK)
        wire.reload()
        send(wire)
        assert wire.error == (429, "rate_limit_exceeded")
        send(wire, "bob")
        wire.upstream.sends(OK)
        assert wire.answer.status == 200


def test_requests_in_flight_end_with_their_last_byte_or_their_client() -> None:
    with playing(keys=line("ann", max_in_flight=1)) as wire:
        send(wire)
        first, upstream = wire.client, wire.upstream
        upstream.sends(STREAM)
        send(wire)
        assert wire.error == (429, "rate_limit_exceeded")
        assert wire.refusals["key_in_flight"] == 1
        upstream.sends(LAST)
        send(wire)
        second = wire.client
        assert not second.taken
        second.ends()
        send(wire)
        wire.upstream.sends(OK)
        assert wire.answer.status == 200
        assert first.taken


@pytest.mark.parametrize("chunked", [False, True])
def test_a_larger_body_than_the_keys_is_refused(chunked: bool) -> None:
    with playing(keys=line("ann", max_body_bytes=2000) + line("bob")) as wire:
        for name, size, status in (("ann", 2000, 0), ("ann", 2001, 413), ("bob", 100_000, 0)):
            body = json.dumps({"model": BASE, "pad": "x" * (size - 40)}).encode().ljust(size)
            length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
            head = ["POST /v1/chat/completions HTTP/1.1", "Host: here", "Content-Type: application/json", bearer(name)]
            wire.client = wire.connect()
            sent = chunk(body) + LAST if chunked else body
            wire.client.sends("\r\n".join([*head, length, "", ""]).encode() + sent)
            assert (wire.answer.status if wire.client.taken else 0) == status
            if status:
                assert "of your key" in json.loads(wire.answer.body)["error"]["message"]


def test_the_prompts_estimate_and_the_longest_answer_are_reserved() -> None:
    with playing(keys=line("ann", tokens_per_minute=1000)) as wire:
        send(wire, max_tokens=500)
        send(wire, max_completion_tokens=300)
        assert 150 <= left(wire) <= 180, "about 20 tokens of each prompt are reserved, too"
        send(wire, path="/v1/responses", input="x", max_output_tokens=300)
        assert wire.error == (429, "rate_limit_exceeded")
        assert wire.refusals["key_tokens"] == 1
        assert value(wire, "x-ratelimit-limit-tokens") == "1000"
        assert int(value(wire, "retry-after") or 0) >= 1
        assert wire.in_flight["metrics"] == 2


def test_a_token_of_a_prompt_is_estimated_for_each_four_bytes() -> None:
    with playing(keys=line("ann", tokens_per_minute=1000)) as wire:
        send(wire, user="")
        prompt = 1000 - left(wire)
        send(wire, user="x" * 400)
        assert 1000 - left(wire) == 2 * prompt + 100


def test_a_request_pays_for_what_vllm_says_that_it_used() -> None:
    with playing(keys=line("ann", tokens_per_minute=1000)) as wire:
        send(wire, max_tokens=900)
        wire.upstream.sends(with_length(USED % (60, 40)))
        assert left(wire) == 900


def test_a_request_that_vllm_refused_or_never_got_pays_nothing() -> None:
    with playing(keys=line("ann", "legal-lora", tokens_per_minute=1000)) as wire:
        send(wire, model="legal-lora", max_tokens=900)
        wire.upstream.sends(with_length(b"{}", "400 Bad Request"))
        assert left(wire) == 1000
        send(wire, max_tokens=900)
        assert wire.error == (403, "model_not_allowed")
        assert left(wire) == 1000


@rows("options", [None, {"include_usage": True}])
def test_an_aborted_stream_pays_for_its_prompt_and_what_was_passed_on(options: dict[str, bool] | None) -> None:
    with playing(keys=line("ann", tokens_per_minute=1000)) as wire:
        send(wire, stream=True, max_tokens=900, stream_options=options)
        before = left(wire)
        wire.upstream.sends(STREAM)
        for _ in range(7):
            wire.upstream.sends(chunk(b'data: {"choices": []}\n\n'))
        wire.client.ends()
        paid = 1000 - left(wire)
        prompt = 1000 - 900 - before
        assert paid == prompt + 7
        send(wire, stream=True, max_tokens=900, stream_options=options)
        wire.client.ends()
        assert 1000 - left(wire) == paid + prompt, "the prompt was sent, and nothing came of it"


def test_a_whole_stream_without_usage_pays_for_its_events() -> None:
    with playing(keys=line("ann", tokens_per_minute=1000)) as wire:
        send(wire, stream=True)
        prompt = 1000 - left(wire)
        wire.upstream.sends(STREAM + chunk(b'data: {"a": 1}\n\ndata: {"a": 2}\n\ndata: [DONE]\n\n') + LAST)
        assert 1000 - left(wire) == prompt + 2


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "text/plain"])
@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/chat/completions"])
def test_tokens_that_nobody_would_know_are_refused(kind: str, path: str) -> None:
    with playing(keys=line("ann", tokens_per_minute=1000) + line("bob", requests_per_minute=9)) as wire:
        send(wire, path=path, kind=kind)
        assert wire.error == (403, "usage_unknown")
        send(wire, path="/v1/responses", input="x", background=True)
        assert wire.error == (403, "usage_unknown")
        send(wire, "bob", path=path, kind=kind)
        assert not wire.client.taken, "requests are counted whatever they are"


def test_a_body_that_is_no_json_is_vllms_to_refuse() -> None:
    with playing(keys=line("ann", tokens_per_minute=1000)) as wire:
        wire.client.sends(
            f"POST /tokenize HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n{bearer('ann')}\r\n".encode()
            + b"Content-Length: 1\r\n\r\n{"
        )
        assert not wire.client.taken
        wire.upstream.sends(with_length(b"{}", "400 Bad Request"))
        assert wire.answer.status == 400
        assert left(wire) == 1000


USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":60,"completion_tokens":40}}\n\n'
WORD = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
DONE = b"data: [DONE]\n\n"


def asked_of_vllm(wire: Wire) -> Any:
    return json.loads(wire.upstream.written.rpartition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, {"include_usage": True}),
        ({}, {"include_usage": True}),
        ({"include_usage": False, "x": 1}, {"include_usage": True, "x": 1}),
    ],
)
def test_vllm_is_asked_for_the_usage_of_a_stream_and_the_client_does_not_get_it(
    path: str, given: Any, sent: Any
) -> None:
    with playing(keys=line("ann", tokens_per_minute=1000)) as wire:
        for model in (BASE, "MoM"):
            before = left(wire) if model != BASE else 1000
            send(wire, path=path, model=model, prompt="Why?", stream=True, stream_options=given)
            assert asked_of_vllm(wire)["stream_options"] == sent
            wire.upstream.sends(STREAM + chunk(WORD) + chunk(USAGE) + chunk(DONE) + LAST)
            assert wire.answer.body == WORD + DONE
            assert before - left(wire) == 100
            assert (wire.outcomes()[-1]["prompt_tokens"], wire.outcomes()[-1]["completion_tokens"]) == (60, 40)


@rows(
    "fields",
    [
        {"stream": True, "stream_options": {"include_usage": True}},
        {"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True}},
        {"stream": True, "stream_options": {"continuous_usage_stats": True}},
        {"stream": True, "stream_options": "odd"},
        {"stream": False},
        {},
    ],
)
def test_who_asks_for_it_or_streams_nothing_gets_all_that_vllm_sends(fields: dict[str, Any]) -> None:
    with playing(keys=line("ann", tokens_per_minute=1000) + line("bob")) as wire:
        send(wire, **fields)
        body = asked_of_vllm(wire)
        assert {name: body.get(name) for name in fields} == fields
        assert "stream_options" not in body or "stream_options" in fields
        wire.upstream.sends(STREAM + chunk(WORD) + chunk(USAGE) + chunk(DONE) + LAST)
        assert wire.answer.body == WORD + USAGE + DONE
        assert left(wire) == 900


def test_without_a_limit_of_tokens_no_usage_is_asked_for() -> None:
    with playing(keys=line("ann", requests_per_minute=5)) as wire:
        send(wire, stream=True)
        assert "stream_options" not in asked_of_vllm(wire)


def test_of_a_stream_that_is_cut_off_before_its_usage_what_was_passed_on_counts() -> None:
    with playing(keys=line("ann", tokens_per_minute=1000)) as wire:
        send(wire, stream=True)
        prompt = 1000 - left(wire)
        wire.upstream.sends(STREAM + chunk(WORD) + chunk(WORD))
        wire.upstream.resets()
        assert 1000 - left(wire) >= prompt + 2
        assert b"upstream_broken" in wire.client.taken


def test_an_answer_that_was_cut_off_behind_its_usage_pays_that() -> None:
    """A client that asks for usage with each event and leaves: vLLM's figure counts where it is the greater."""
    used = b'data: {"choices":[],"usage":{"prompt_tokens":600,"completion_tokens":40}}\n\n'
    with playing(keys=line("ann", tokens_per_minute=1000)) as wire:
        send(wire, stream=True, max_tokens=900, stream_options={"include_usage": True})
        wire.upstream.sends(STREAM + chunk(used))
        wire.client.ends()
        assert left(wire) <= 360
