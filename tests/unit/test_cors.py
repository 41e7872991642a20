"""Which web pages a browser lets call the data port: what it asks before, and what answers tell it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pointsman.config.model import CorsOptions, ServerOptions
from support.http_view import Seen
from support.playbook import OK, Wire, playing, post

PAGE, OTHER = "https://chat.example", "https://evil.example"
NAMED = CorsOptions(origins=(PAGE, "http://localhost:3000"))
ANY = CorsOptions(origins=("*",))
CHAT = "/v1/chat/completions"


def fields(answer: Seen) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in answer.head.decode().split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        found.setdefault(name.lower(), []).append(value)
    return found


def preflight(wire: Wire, origin: str = PAGE, method: str = "POST", headers: str | None = "authorization") -> Seen:
    lines = ["OPTIONS /v1/chat/completions HTTP/1.1", "Host: here", f"Origin: {origin}"]
    lines.append(f"Access-Control-Request-Method: {method}")
    if headers is not None:
        lines.append(f"Access-Control-Request-Headers: {headers}")
    wire.client.sends("\r\n".join([*lines, "", ""]).encode())
    return wire.answer


def allowed(answer: Seen) -> list[str]:
    return fields(answer).get("access-control-allow-origin", [])


@pytest.mark.parametrize(("cors", "expected"), [(NAMED, PAGE), (ANY, "*")])
def test_a_page_that_is_allowed_may_call_and_vllm_is_not_asked(cors: CorsOptions, expected: str) -> None:
    with playing(cors=cors) as wire:
        answer = preflight(wire, headers="authorization,content-type")
        found = fields(answer)
        assert (answer.status, allowed(answer), answer.body) == (200, [expected], b"")
        assert found["access-control-allow-methods"] == ["GET, HEAD, POST"]
        assert found["access-control-allow-headers"] == ["authorization,content-type"]
        assert found["access-control-max-age"] == ["600"]
        assert "access-control-allow-credentials" not in found
        assert found["vary"] == ["Origin, Access-Control-Request-Method, Access-Control-Request-Headers"]
        assert wire.a.requests + wire.b.requests == 0
        assert wire.outcomes() == []


STRICT = CorsOptions(origins=(PAGE,), methods=("POST",), headers=("Authorization",))


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        ({"origin": OTHER}, "origins"),
        ({"origin": "null"}, "origins"),
        ({"origin": PAGE.upper()}, "origins"),
        ({"origin": f"{PAGE}.evil.example"}, "origins"),
        ({"method": "GET"}, "methods"),
        ({"method": "post"}, "methods"),
        ({"headers": "authorization, x-more"}, "headers"),
    ],
)
def test_what_is_not_allowed_is_refused_and_said(asked: dict[str, Any], key: str) -> None:
    with playing(cors=STRICT) as wire:
        answer = preflight(wire, **asked)
        assert (answer.status, allowed(answer)) == (400, [])
        assert wire.error == (400, "cors_refused")
        assert f"pointsman.cors.{key}".encode() in answer.body


@pytest.mark.parametrize("headers", [None, "", "AUTHORIZATION", "authorization,content-type, accept"])
def test_named_headers_and_those_that_every_page_may_send_are_allowed(headers: str | None) -> None:
    with playing(cors=STRICT) as wire:
        assert preflight(wire, headers=headers).status == 200


def one_too_many(wire: Wire) -> None:
    wire.connect().sends(post())
    wire.client.sends(post("base", CHAT, FROM))


ERROR = b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"
FROM = f"Origin: {PAGE}"
CASES: tuple[tuple[int, Callable[[Wire], object]], ...] = (
    (200, lambda wire: wire.ask("base", CHAT, FROM).sends(OK)),
    (400, lambda wire: wire.ask("base", CHAT, FROM).sends(ERROR)),
    (404, lambda wire: wire.client.sends(post("base", "/nowhere", FROM))),
    (405, lambda wire: wire.client.sends(post("base", "/health", FROM))),
    (415, lambda wire: wire.client.sends(post("base", CHAT, FROM, "Content-Encoding: gzip"))),
    (502, lambda wire: wire.ask("base", CHAT, FROM).ends()),
    (503, one_too_many),
)


@pytest.mark.parametrize(("status", "ask"), CASES)
def test_each_answer_tells_the_page_that_it_may_read_it(status: int, ask: Callable[[Wire], object]) -> None:
    """Also an error of vLLM, and errors of our own."""
    with playing(cors=NAMED, server=ServerOptions(max_in_flight=1)) as wire:
        ask(wire)
        found = fields(wire.answer)
        assert (wire.answer.status, found["access-control-allow-origin"]) == (status, [PAGE])
        assert found["vary"] == ["Origin"]
        assert "x-vsr-selected-model" in found["access-control-expose-headers"][0]


@pytest.mark.parametrize("line", ["X-None: 1", f"Origin: {OTHER}", "Origin: null"])
def test_another_page_and_a_client_that_is_none_are_served_without_a_word(line: str) -> None:
    with playing(cors=NAMED) as wire:
        wire.ask("base", CHAT, line).sends(OK)
        assert (wire.answer.status, allowed(wire.answer), fields(wire.answer)["vary"]) == (200, [], ["Origin"])


def test_for_all_pages_an_answer_is_the_same() -> None:
    with playing(cors=ANY) as wire:
        wire.ask("base", CHAT, f"Origin: {OTHER}").sends(OK)
        assert (allowed(wire.answer), fields(wire.answer).get("vary")) == (["*"], None)


def test_credentials_are_allowed_where_the_config_says_so() -> None:
    with playing(cors=CorsOptions(origins=(PAGE,), credentials=True)) as wire:
        assert fields(preflight(wire))["access-control-allow-credentials"] == ["true"]
        wire.ask("base", CHAT, f"Origin: {PAGE}").sends(OK)
        assert fields(wire.answer)["access-control-allow-credentials"] == ["true"]
        wire.ask("base", CHAT, f"Origin: {OTHER}").sends(OK)
        assert "access-control-allow-credentials" not in fields(wire.answer)


@pytest.mark.parametrize("cors", [NAMED, CorsOptions()])
def test_vllm_does_not_hear_of_the_page(cors: CorsOptions) -> None:
    """Its own permissions would stand beside ours."""
    with playing(cors=cors) as wire:
        assert b"origin" not in wire.ask("base", CHAT, f"Origin: {PAGE}").written.lower()


def test_without_origins_a_preflight_is_refused_and_no_answer_says_anything(wire: Wire) -> None:
    assert preflight(wire).status == 405
    wire.ask("base", CHAT, f"Origin: {PAGE}").sends(OK)
    assert {"vary", "access-control-allow-origin"} & fields(wire.answer).keys() == set()


@pytest.mark.parametrize("line", ["X-None: 1", "Access-Control-Request-Method: POST", f"Origin: {PAGE}"])
def test_options_that_is_no_preflight_is_an_unlisted_method(line: str) -> None:
    with playing(cors=NAMED) as wire:
        wire.client.sends(f"OPTIONS {CHAT} HTTP/1.1\r\nHost: here\r\n{line}\r\n\r\n".encode())
        assert wire.error == (405, "method_not_allowed")
