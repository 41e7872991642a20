"""Requests of limited keys, event by event: when they are refused, and what they pay for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pointsman.config.model import AccessOptions, PathOptions
from support.client_keys import bearer, line
from support.playbook import LAST, OK, STREAM, Wire, chunk, playing, with_length
from support.toy_config import BASE

USED = b'{"usage": {"prompt_tokens": %d, "completion_tokens": %d}}'
USED_IN_STREAM = b'data: {"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}\n\n'
WORD = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
DONE = b"data: [DONE]\n\n"


@pytest.fixture
def wire() -> Iterator[Wire]:
    """One client, whose tokens are limited to 1,000 a minute."""
    with playing(keys=line("ann", tokens_per_minute=1000)) as made:
        yield made


def send(wire: Wire, name: str = "ann", path: str = "/v1/chat/completions", kind: str = "", **fields: Any) -> int:
    """POST a chat on a connection of its own; returns the tokens of its prompt, as they are estimated."""
    body = json.dumps({"model": BASE, "messages": [{"role": "user", "content": "Why?"}], **fields}).encode()
    head = [f"POST {path} HTTP/1.1", "Host: here", f"Content-Type: {kind or 'application/json'}", bearer(name)]
    wire.client = wire.connect()
    wire.client.sends("\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body)
    return len(body) // 4


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


def test_the_prompts_estimate_and_the_longest_answer_are_reserved(wire: Wire) -> None:
    send(wire, max_tokens=500)
    send(wire, max_completion_tokens=300)
    assert 150 <= left(wire) <= 180, "about 20 tokens of each prompt are reserved, too"
    send(wire, path="/v1/responses", input="x", max_output_tokens=300)
    assert wire.error == (429, "rate_limit_exceeded")
    assert wire.refusals["key_tokens"] == 1
    assert value(wire, "x-ratelimit-limit-tokens") == "1000"
    assert int(value(wire, "retry-after") or 0) >= 1
    assert wire.in_flight["metrics"] == 2


def test_a_token_of_a_prompt_is_estimated_for_each_four_bytes(wire: Wire) -> None:
    send(wire, max_tokens=1, user="")
    prompt = 999 - left(wire)
    send(wire, max_tokens=1, user="x" * 400)
    assert 998 - left(wire) == 2 * prompt + 100


def reserved(path: str = "/v1/chat/completions", limit: int = 10**6, **fields: Any) -> int:
    """The tokens that a request takes in advance for its answers."""
    with playing(keys=line("ann", tokens_per_minute=limit)) as wire:
        wire.relay(paths=PathOptions(add=(f"POST {path}",)))
        prompt = send(wire, path=path, **fields)
        return limit - left(wire) - prompt


@pytest.mark.parametrize(
    ("path", "fields", "tokens"),
    [
        ("/v1/chat/completions", {}, 1024),
        ("/v1/chat/completions", {"max_tokens": None}, 1024),
        ("/v1/chat/completions", {"max_tokens": 0}, 1024),
        ("/v1/chat/completions", {"max_tokens": -5, "n": -5}, 1024),
        ("/v1/chat/completions", {"max_output_tokens": 5}, 1024),
        ("/v1/chat/completions", {"max_tokens": 5}, 5),
        ("/v1/chat/completions", {"max_tokens": 5, "max_completion_tokens": 7}, 7),
        ("/v1/chat/completions", {"max_tokens": 5, "n": 3}, 15),
        ("/v1/chat/completions", {"n": 3}, 3 * 1024),
        ("/v1/chat/completions", {"max_tokens": 5, "n": None}, 5),
        ("/v1/chat/completions", {"max_tokens": 5, "prompt": ["a", "b"]}, 5),
        ("/v1/chat/completions/batch", {"max_tokens": 5, "n": 2, "messages": [[{}], [{}], [{}]]}, 30),
        ("/v1/completions", {"max_tokens": 5, "prompt": "a"}, 5),
        ("/v1/completions", {"max_tokens": 5, "prompt": ["a", "b,c", '"'], "best_of": 4, "n": 2}, 60),
        ("/v1/completions", {"max_tokens": 5, "prompt": [7, 8, 9]}, 5),
        ("/v1/completions", {"max_tokens": 5, "prompt": [[7, 8, 9], [7]]}, 10),
        ("/v1/completions", {"max_tokens": 5, "prompt": None, "prompt_embeds": ["a", "b"]}, 10),
        ("/v1/completions", {"prompt": ["a"] * 20}, 20 * 1024),
        ("/v1/completions", {"max_tokens": 5, "prompt": ["a" * 2**20, "b"]}, 10),
        ("/v1/responses", {"input": "x"}, 1024),
        ("/v1/responses", {"input": "x", "max_output_tokens": 5}, 5),
        ("/v1/responses", {"input": "x", "max_tokens": 5}, 1024),
        ("/v1/messages", {"max_tokens": 5}, 5),
        ("/v1/audio/transcriptions", {}, 1024),
        ("/v1/audio/translations", {}, 1024),
        ("/v2/added", {}, 1024),
    ],
)
def test_the_longest_of_all_answers_are_reserved(path: str, fields: dict[str, Any], tokens: int) -> None:
    """What a format does not have says nothing of the length."""
    assert reserved(path, **fields) == tokens


@pytest.mark.parametrize("odd", ["5", 5.0, True, 5e300, [], {}, 10**400])
@pytest.mark.parametrize("field", ["max_tokens", "n"])
def test_a_number_that_is_written_otherwise_reserves_all_that_a_request_may(field: str, odd: object) -> None:
    """vLLM reads some of these as numbers, and the greatest counts."""
    with playing(keys=line("ann", tokens_per_minute=100_000)) as wire:
        fields: dict[str, Any] = {"max_tokens": 5, field: odd}
        send(wire, **fields)
        assert left(wire) == 0


def test_more_prompts_than_are_counted_reserve_all_that_a_request_may() -> None:
    with playing(keys=line("ann", tokens_per_minute=100_000)) as wire:
        send(wire, path="/v1/completions", max_tokens=1, prompt=["a"] * 1001)
        assert left(wire) == 0


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/embeddings", "/v1/score", "/score", "/v1/rerank", "/v2/rerank", "/rerank", "/pooling", "/classify"),
        *("/generative_scoring", "/tokenize", "/detokenize", "/v1/messages/count_tokens"),
        *(f"/v1/{name}/render" for name in ("chat/completions", "completions", "messages", "responses")),
    ],
)
def test_what_generates_nothing_reserves_and_pays_its_prompt(wire: Wire, path: str) -> None:
    """Where vLLM says how long that was, this counts."""
    prompt = send(wire, path=path, n=5, prompt=["a", "b"])
    assert left(wire) == 1000 - prompt
    wire.upstream.sends(with_length(b"[]"))
    assert left(wire) == 1000 - prompt
    send(wire, path=path, n=5, prompt=["a", "b"])
    wire.upstream.sends(with_length(b'{"usage":{"prompt_tokens":60,"completion_tokens":0}}'))
    assert left(wire) == 1000 - prompt - 60


def test_how_much_is_reserved_where_nothing_is_said_is_an_option(wire: Wire) -> None:
    wire._options = replace(wire._options, access=AccessOptions(reserved_answer_tokens=100))
    wire.reload()
    prompt = send(wire, n=2)
    assert left(wire) == 800 - prompt


def stream_of(wire: Wire, tokens: int) -> None:
    for _ in range(tokens):
        wire.upstream.sends(chunk(WORD))


def test_an_answer_that_becomes_longer_than_was_reserved_takes_more_as_it_runs() -> None:
    """It is not cut; what is beyond the limit is owed, and the next request is told when that has drained."""
    with playing(keys=line("ann", tokens_per_minute=2000)) as wire:
        wire._options = replace(wire._options, access=AccessOptions(reserved_answer_tokens=100))
        wire.reload()
        prompt = send(wire, stream=True)
        wire.upstream.sends(STREAM)
        stream_of(wire, 100)
        assert left(wire) == 1900 - prompt
        stream_of(wire, 1)
        assert left(wire) == 1899 - prompt
        stream_of(wire, 2899)
        streaming, upstream = wire.client, wire.upstream
        send(wire, max_tokens=20)
        assert wire.error == (429, "rate_limit_exceeded")
        # 1,000 and two prompts are owed, and 20 are wanted: 2,000 drain in a minute.
        assert 31 <= int(value(wire, "retry-after") or 0) <= 33
        assert not streaming.closed
        upstream.sends(chunk(USED_IN_STREAM % (60, 4000)) + chunk(DONE) + LAST)
        assert left(wire) == 2000 - 4060, "vLLM's figure is the last word"


def test_a_key_is_owed_no_more_than_by_its_requests_in_flight() -> None:
    """300 streams at once that do not say how long they are: so many run as have room, and none begins in debt."""
    with playing(keys=line("ann", tokens_per_minute=20_000)) as wire:
        running = []
        for _ in range(300):
            prompt = send(wire, stream=True)
            if wire.client.taken:
                assert wire.error == (429, "rate_limit_exceeded")
                assert int(value(wire, "retry-after") or 0) >= 1
            else:
                running.append(wire.upstream)
        assert len(running) == 20_000 // (prompt + 1024)
        for upstream in running:
            upstream.sends(STREAM + chunk(WORD * 3000))
        assert left(wire) == 20_000 - len(running) * (prompt + 3000)
        wire.clock.advance(60)
        send(wire)
        assert wire.error == (429, "rate_limit_exceeded"), "they owe more than drains in a minute"


def test_a_request_pays_for_what_vllm_says_that_it_used(wire: Wire) -> None:
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


@pytest.mark.parametrize("options", [None, {"include_usage": True}])
def test_an_aborted_stream_pays_for_its_prompt_and_what_was_passed_on(
    wire: Wire, options: dict[str, bool] | None
) -> None:
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


@pytest.mark.parametrize(
    "answer",
    [
        STREAM + chunk(b'data: {"a": 1}\n\ndata: {"a": 2}\n\ndata: [DONE]\n\n') + LAST,
        with_length(b"{}"),
        with_length(b"\x1f\x8b" + USED % (1, 1), "200 OK", "Content-Encoding: gzip"),
        with_length(b'{"a":%b}' % (USED % (1, 1))),
    ],
)
def test_a_whole_answer_without_usage_pays_what_was_reserved(wire: Wire, answer: bytes) -> None:
    """Of a compressed one nobody here can read the usage."""
    send(wire, stream=True, max_tokens=500)
    before = left(wire)
    wire.upstream.sends(answer)
    assert left(wire) == before < 500


def test_a_whole_answer_is_paid_though_its_client_leaves_before_its_end(wire: Wire) -> None:
    """When its head comes, vLLM has made all of it; before, it stops."""
    send(wire, max_tokens=500)
    before = left(wire)
    wire.upstream.sends(with_length(b'{"choices":', length=10_000))
    wire.client.ends()
    assert left(wire) == before
    prompt = send(wire, max_tokens=100)
    wire.client.ends()
    assert left(wire) == before - prompt


@pytest.mark.parametrize("piece", [1000, 10**6])
@pytest.mark.parametrize(
    "behind", [b"", b'"prompt_token_ids":[%b1]' % (b"12345," * 2000), b'"user":"%b"' % (b"x" * 200_000)]
)
def test_what_follows_the_usage_changes_nothing(behind: bytes, piece: int) -> None:
    """A client can have vLLM write more behind it than was looked through, and forge one there."""
    forged = b'"metadata":{"usage":{"prompt_tokens":0,"completion_tokens":0}},'
    answer = with_length(b"{%b%b,%b%b}" % (forged, (USED % (600, 40))[1:-1], forged, behind or b'"a":1'))
    with playing(keys=line("ann", tokens_per_minute=1000)) as wire:
        send(wire, max_tokens=900)
        for at in range(0, len(answer), piece):
            wire.upstream.sends(answer[at : at + piece])
        assert left(wire) == 360
        assert wire.outcomes()[-1]["completion_tokens"] == 40


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "text/plain"])
@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/chat/completions"])
def test_tokens_that_nobody_would_know_are_refused(kind: str, path: str) -> None:
    with playing(keys=line("ann", tokens_per_minute=1000) + line("bob", requests_per_minute=9)) as wire:
        send(wire, path=path, kind=kind)
        assert wire.error == (403, "usage_unknown")
        assert json.loads(wire.answer.body)["error"]["param"] is None, "no other model would do"
        send(wire, "bob", path=path, kind=kind)
        assert not wire.client.taken, "requests are counted whatever they are"


@pytest.mark.parametrize("background", [True, 1, 1.0, "1", "true", "yes", "on", 0, "false", "no", 7, "", [], {}])
def test_a_response_in_the_background_is_refused_however_it_is_asked_for(background: object) -> None:
    """vLLM takes many a value for true: none but absent, null and false is not."""
    with playing(keys=line("ann", tokens_per_minute=5000)) as wire:
        send(wire, path="/v1/responses", input="x", background=background)
        assert wire.error == (403, "usage_unknown")
        assert left(wire) == 5000


@pytest.mark.parametrize("fields", [{}, {"background": None}, {"background": False}])
def test_a_response_in_the_foreground_is_not(fields: dict[str, Any]) -> None:
    with playing(keys=line("ann", tokens_per_minute=5000)) as wire:
        send(wire, path="/v1/responses", input="x", **fields)
        assert not wire.client.taken


def test_a_body_that_is_no_json_is_vllms_to_refuse(wire: Wire) -> None:
    wire.client.sends(
        f"POST /tokenize HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n{bearer('ann')}\r\n".encode()
        + b"Content-Length: 1\r\n\r\n{"
    )
    assert not wire.client.taken
    wire.upstream.sends(with_length(b"{}", "400 Bad Request"))
    assert wire.answer.status == 400
    assert left(wire) == 1000


def test_one_that_vllm_may_read_though_it_is_nested_too_deeply_here_is_refused() -> None:
    """Else it would reserve nothing for its answers."""
    deep = b'{"messages": [[]], "x": %b}' % (b"[" * 5_000 + b"]" * 5_000)
    lines = ["POST /v1/chat/completions/batch HTTP/1.1", "Host: here", "Content-Type: application/json", bearer("ann")]
    with playing(keys=line("ann", tokens_per_minute=1000)) as wire:
        wire.client.sends("\r\n".join([*lines, f"Content-Length: {len(deep)}", "", ""]).encode() + deep)
        if wire.a.requests:  # from Python 3.14 on, it is read
            assert left(wire) == 0
        else:
            assert wire.answer.status == 400
            assert left(wire) == 1000


USAGE = USED_IN_STREAM % (60, 40)


def asked_of_vllm(wire: Wire) -> Any:
    return json.loads(wire.upstream.written.rpartition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, {"include_usage": True}),
        ({}, {"include_usage": True}),
        ({"include_usage": False, "x": 1}, {"include_usage": True, "x": 1}),
        ({"include_usage": "off"}, {"include_usage": True}),
        ({"continuous_usage_stats": True}, {"include_usage": True, "continuous_usage_stats": False}),
        ({"x": "x" * 1100}, {"include_usage": True}),
    ],
)
def test_vllm_is_asked_for_the_usage_of_a_stream_and_the_client_does_not_get_it(
    path: str, given: Any, sent: Any
) -> None:
    with playing(keys=line("ann", tokens_per_minute=5000)) as wire:
        for model in (BASE, "MoM"):
            before = left(wire) if model != BASE else 5000
            send(wire, path=path, model=model, prompt="Why?", stream=True, stream_options=given)
            assert asked_of_vllm(wire)["stream_options"] == sent
            wire.upstream.sends(STREAM + chunk(WORD) + chunk(USAGE) + chunk(DONE) + LAST)
            assert wire.answer.body == WORD + DONE
            assert before - left(wire) == 100
            assert (wire.outcomes()[-1]["prompt_tokens"], wire.outcomes()[-1]["completion_tokens"]) == (60, 40)


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": True, "stream_options": {"include_usage": True}},
        {"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True}},
        {"stream": True, "stream_options": {"include_usage": 1}},
        {"stream": True, "stream_options": "odd"},
        {"stream": False},
        {"stream": None},
        {"stream": 0},
        {},
    ],
)
def test_who_asks_for_it_or_streams_nothing_gets_all_that_vllm_sends(fields: dict[str, Any]) -> None:
    with playing(keys=line("ann", tokens_per_minute=5000) + line("bob")) as wire:
        send(wire, **fields)
        body = asked_of_vllm(wire)
        assert {name: body.get(name) for name in fields} == fields
        assert "stream_options" not in body or "stream_options" in fields
        wire.upstream.sends(STREAM + chunk(WORD) + chunk(USAGE) + chunk(DONE) + LAST)
        assert wire.answer.body == WORD + USAGE + DONE
        assert left(wire) == 4900


@pytest.mark.parametrize("stream", [1, "true", "yes", "on", "T"])
def test_a_stream_is_asked_for_its_usage_however_it_is_asked_for(stream: object) -> None:
    with playing(keys=line("ann", tokens_per_minute=5000)) as wire:
        send(wire, stream=stream)
        assert asked_of_vllm(wire)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("path", "events"),
    [
        (
            "/v1/responses",
            [b'{"response":{"usage":{"input_tokens":60,"output_tokens":40},"user":"%b"}}' % (b"x" * 5000)],
        ),
        ("/v1/messages", [b'{"message":{"usage":{"input_tokens":60}}}', b'{"usage":{"output_tokens":40}}']),
    ],
)
def test_a_stream_pays_for_the_usage_where_its_format_has_it(path: str, events: list[bytes]) -> None:
    with playing(keys=line("ann", tokens_per_minute=5000)) as wire:
        send(wire, path=path, input="x", stream=True)
        wire.upstream.sends(STREAM + b"".join(chunk(b"data: %b\n\n" % event) for event in events) + LAST)
        assert left(wire) == 4900


def test_without_a_limit_of_tokens_no_usage_is_asked_for() -> None:
    with playing(keys=line("ann", requests_per_minute=5)) as wire:
        send(wire, stream=True)
        assert "stream_options" not in asked_of_vllm(wire)


def test_of_a_stream_that_is_cut_off_before_its_usage_what_was_passed_on_counts(wire: Wire) -> None:
    send(wire, stream=True, max_tokens=900)
    prompt = 100 - left(wire)
    wire.upstream.sends(STREAM + chunk(WORD) + chunk(WORD))
    wire.upstream.resets()
    assert 1000 - left(wire) == prompt + 2
    assert b"upstream_broken" in wire.client.taken


def test_an_answer_that_was_cut_off_behind_its_usage_pays_that() -> None:
    """A client that asks for usage with each event and leaves: vLLM's figure counts where it is the greater."""
    used = b'data: {"choices":[],"usage":{"prompt_tokens":600,"completion_tokens":40}}\n\n'
    with playing(keys=line("ann", tokens_per_minute=1000)) as wire:
        send(wire, stream=True, max_tokens=900, stream_options={"include_usage": True})
        wire.upstream.sends(STREAM + chunk(used))
        wire.client.ends()
        assert left(wire) <= 360
