"""An error has the form of the API that was asked: a client library of that API must be able to read it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.config.model import ServerOptions
from pointsman.errors import RequestError
from pointsman.formats import error_form_of
from support.playbook import LAST, STREAM, Wire, chunk, event, playing, post

OPENAI = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]


def last_event(body: bytes) -> tuple[str, dict[str, Any]]:
    """Name and data of the last event, as a client reads them."""
    assert body.endswith(b"\n\n")
    lines = body.rstrip(b"\n").rpartition(b"\n\n")[2].decode().split("\n")
    fields = dict(line.split(": ", 1) for line in lines)
    return fields.get("event", ""), json.loads(fields["data"])


def broken(wire: Wire, path: str, *parts: bytes) -> tuple[str, dict[str, Any]]:
    """The last event of a stream that breaks after these parts."""
    upstream = wire.ask("base", path)
    upstream.sends(STREAM + b"".join(parts))
    upstream.resets()
    assert not wire.answer.whole
    return last_event(wire.answer.body)


@pytest.mark.parametrize("path", OPENAI)
def test_a_stream_of_openais_breaks_with_an_object_error(wire: Wire, path: str) -> None:
    name, data = broken(wire, path, event("one"))
    assert name == ""
    assert data["error"]["code"] == "upstream_broken"
    assert set(data) == {"error"}


def test_a_stream_of_messages_breaks_with_an_event_error(wire: Wire) -> None:
    name, data = broken(wire, "/v1/messages", event("one"))
    assert name == data["type"] == "error"
    assert data["error"]["type"] == "api_error"
    assert "broke off" in data["error"]["message"]


@pytest.mark.parametrize(
    ("parts", "number"),
    [
        ([], 0),
        ([chunk(b'data: {"sequence_number":4}\n\n'), chunk(b'data: {"a":1,"sequence_number": 41}\n\n')], 42),
        ([chunk(b'data: {"sequence_number":9}\n\n'), chunk(b'data: {"t":"\\"sequence_number\\":77"}\n\n')], 10),
    ],
    ids=["no event yet", "two events", "a text that looks like one"],
)
def test_a_stream_of_responses_breaks_with_an_event_error_that_has_the_next_number(
    wire: Wire, parts: list[bytes], number: int
) -> None:
    """`error` is there as well, without which OpenAI's clients would take it for an event like any other."""
    name, data = broken(wire, "/v1/responses", *parts)
    assert name == data["type"] == "error"
    assert (data["code"], data["sequence_number"]) == ("upstream_broken", number)
    assert data["error"]["message"] == data["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("cut", [1, 5, 30, 31, 40])
def test_wherever_an_event_is_cut_the_error_is_an_event_of_its_own(wire: Wire, path: str, cut: int) -> None:
    torn = chunk(b'event: delta\ndata: {"word": "one"}\n\n')
    _, data = broken(wire, path, event("one"), torn[:cut])
    assert data["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
def test_vllms_own_event_error_is_a_failure_of_the_endpoint(wire: Wire, path: str) -> None:
    breaker = wire.almost_open()
    failed = chunk(b'event: error\ndata: {"type":"error","error":{"type":"internal_error"}}\n\n')
    wire.ask("base", path).sends(STREAM + failed + LAST)
    assert breaker.opened
    assert wire.outcomes()[0]["error"] == "vLLM ended its stream with an error"


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        pytest.param(b"SSH-2.0\r\n\r\n", 502, "api_error", id="a broken answer"),
        pytest.param(None, 504, "timeout_error", id="no answer in time"),
    ],
)
def test_an_error_of_ours_on_messages_has_anthropics_form(
    wire: Wire, answer: bytes | None, status: int, kind: str
) -> None:
    upstream = wire.ask("base", "/v1/messages")
    upstream.sends(answer) if answer else wire.clock.advance(4.25)
    body = json.loads(wire.answer.body)
    assert wire.answer.status == status
    assert body["type"] == "error"
    assert body["error"]["type"] == kind
    assert set(body["error"]) == {"type", "message", "code"}


@pytest.mark.parametrize(
    ("request_", "status", "kind"),
    [
        (post("base", "/v1/messages", "Content-Encoding: gzip"), 415, "invalid_request_error"),
        (post("base", "/v1/messages").replace(b'{"model"', b'["model"'), 400, "invalid_request_error"),
        (post("base", "/v1/messages/count_tokens", "Content-Encoding: gzip"), 415, "invalid_request_error"),
        (b"GET /v1/messages HTTP/1.1\r\nHost: here\r\n\r\n", 405, "invalid_request_error"),
        (b"GET /v1/messages/batches HTTP/1.1\r\nHost: here\r\n\r\n", 404, "not_found_error"),
    ],
)
def test_so_has_one_that_the_request_is_the_cause_of(wire: Wire, request_: bytes, status: int, kind: str) -> None:
    wire.client.sends(request_)
    body = json.loads(wire.answer.body)
    assert (wire.answer.status, body["type"], body["error"]["type"]) == (status, "error", kind)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
    ],
)
def test_each_status_has_anthropics_type(status: int, kind: str) -> None:
    error = RequestError("no", status=status, code="ours")
    assert error_form_of("/v1/messages").body(error)["error"] == {"type": kind, "message": "no", "code": "ours"}


def test_and_one_of_a_service_that_has_too_many() -> None:
    with playing(server=ServerOptions(max_in_flight=1)) as wire:
        wire.ask()
        wire.client = wire.connect()
        wire.client.sends(post("base", "/v1/messages"))
        assert json.loads(wire.answer.body)["error"]["type"] == "overloaded_error"
        assert b"Retry-After: 1" in wire.answer.head


def test_a_path_that_only_begins_like_messages_has_openais(wire: Wire) -> None:
    wire.client.sends(b"GET /v1/messagesx HTTP/1.1\r\nHost: here\r\n\r\n")
    assert wire.error == (404, "not_found")
